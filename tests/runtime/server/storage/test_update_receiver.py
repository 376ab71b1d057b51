"""An update on its way in: what is taken for it, and when it is looked at."""

import gc
import time
from types import SimpleNamespace

import numpy as np
import pytest

from federator.runtime.files import sha256
from federator.runtime.server.storage import update_receiver
from federator.runtime.server.storage.disk import wait_for_removals
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.format import WeightsError, save
from federator.runtime.weights.parts import Part, cut, name

WEIGHTS = {"a": np.random.default_rng(1).normal(size=5 * 2**20).astype(np.float32)}
PARTS = 21


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def data(tmp_path):
    save(tmp_path / "weights", WEIGHTS)
    return (tmp_path / "weights").read_bytes()


@pytest.fixture
def seen():
    """What was looked at: bytes by where they begin, each time that they were."""
    return []


@pytest.fixture
def receiver(store, data, seen):
    return store.accept(len(data), lambda at, read: seen.append((at, bytes(read))))


def written(store):
    """Return every file of a store."""
    wait_for_removals()
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


def part(store, receiver, number, size):
    """Return where a part goes."""
    return store.folder / "up" / receiver.capability / name(number, size)


def put(store, receiver, data):
    """Write parts as the gateway does; return their table."""
    table = []
    for number, where in enumerate(cut(len(data))):
        arriving = store.folder / "arriving" / str(number)
        arriving.write_bytes(data[where])
        arriving.replace(part(store, receiver, number, len(data)))
        table.append(Part(where.stop - where.start, sha256(memoryview(data[where]))))
    return tuple(table)


def soon():
    return time.monotonic() + 60


def test_what_has_arrived_is_out_of_reach_and_lasts_while_it_is_held(store, receiver, data):
    update = receiver.close(put(store, receiver, data))
    assert not (store.folder / "up" / receiver.capability).exists()
    np.testing.assert_array_equal(update.load()["a"], WEIGHTS["a"])
    del update
    gc.collect()
    assert written(store) == []


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_what_has_arrived_is_read_once(store, receiver, data, seen, looks):
    table = put(store, receiver, data)
    for _ in range(looks):
        receiver.hash_arrived(soon())
        assert b"".join(read for _, read in sorted(seen)) == data
    receiver.close(table)
    assert b"".join(read for _, read in sorted(seen)) == data
    assert all(data[at : at + len(read)] == read for at, read in seen)


def test_what_comes_is_hashed_while_the_rest_is_missing(store, receiver, data, seen):
    assert not receiver.hash_arrived(soon())
    part(store, receiver, 3, len(data)).write_bytes(data[cut(len(data))[3]])
    assert not receiver.hash_arrived(soon())
    assert b"".join(read for _, read in seen) == data[cut(len(data))[3]]
    put(store, receiver, data)
    assert receiver.hash_arrived(soon())
    assert receiver.complete


def test_an_update_of_which_no_more_comes_is_complete_until_more_does(
    store, receiver, data, monkeypatch
):
    """The parts of a busy or a slow line do not: they come at longer intervals."""
    now, never = 1000.0, 2000.0
    monkeypatch.setattr(update_receiver, "time", SimpleNamespace(monotonic=lambda: now))
    for number, pause in ((3, 0.3), (4, 0.7)):
        part(store, receiver, number, len(data)).write_bytes(data[cut(len(data))[number]])
        assert not receiver.hash_arrived(never)
        assert not receiver.complete
        now += pause / 2
        assert [receiver.hash_arrived(never), receiver.complete] == [False, False]
        now += pause / 2
        assert [receiver.hash_arrived(never), receiver.complete] == [True, True]
        assert [receiver.hash_arrived(never), receiver.complete] == [False, True]


def test_no_part_is_begun_when_the_time_is_over(store, receiver, data, seen):
    put(store, receiver, data)
    assert not receiver.hash_arrived(time.monotonic() - 1)
    assert seen == []


def test_a_part_that_comes_again_is_hashed_again(store, receiver, data, seen):
    """What was sent is what counts in the end, not what was there when somebody looked."""
    table = put(store, receiver, data)
    receiver.hash_arrived(soon())
    before = len(seen)
    arriving = store.folder / "arriving" / "again"
    arriving.write_bytes(b"x" * table[1].size)
    arriving.replace(part(store, receiver, 1, len(data)))
    with pytest.raises(WeightsError, match="part 1 is not"):
        receiver.close(table)
    assert b"".join(read for _, read in seen[before:]) == b"x" * table[1].size


@pytest.mark.parametrize("hashed", [False, True])
@pytest.mark.parametrize("case", ["changed", "missing", "short", "long", "none"])
def test_a_part_that_is_not_what_the_site_said_is_refused_by_its_number(
    store, receiver, data, case, hashed
):
    table = put(store, receiver, data)
    second, right = part(store, receiver, 1, len(data)), data[cut(len(data))[1]]
    number = 1
    if case == "changed":
        second.write_bytes(b"x" * table[1].size)
    elif case == "missing" and not hashed:
        second.unlink()
    elif case == "short":
        second.write_bytes(right[:-1])
    elif case == "long":
        number = PARTS - 1
        part(store, receiver, number, len(data)).write_bytes(data[cut(len(data))[-1]] + b"x")
    else:
        table = ()
    if hashed:
        receiver.hash_arrived(soon())
        if case == "missing":
            second.unlink()
    with pytest.raises(WeightsError, match=f"part {number} is not" if table else "no update"):
        receiver.close(table)
    assert written(store) == []


def test_parts_of_the_model_itself_need_not_be_sent(store, receiver, data):
    """What is not sent lasts as well, and each folder goes when nothing of it is used."""
    model = store.keep(WEIGHTS)
    known = store.publish(model)[1]
    trained = {"a": WEIGHTS["a"].copy()}
    trained["a"][-1] += 1
    save(store.folder / "trained", trained)
    new = (store.folder / "trained").read_bytes()
    (store.folder / "trained").unlink()
    table = put(store, receiver, new)
    for number in range(PARTS - 1):
        part(store, receiver, number, len(data)).unlink()
    update = receiver.close(table, model, known)
    store.withdraw()
    del model
    gc.collect()
    np.testing.assert_array_equal(update.load()["a"], trained["a"])
    update.copy(store.folder / "copy")
    assert (store.folder / "copy").read_bytes() == new
    (store.folder / "copy").unlink()
    del update
    gc.collect()
    assert written(store) == []
    with pytest.raises(WeightsError, match="part 0 is not"):
        store.accept(len(data)).close(table)


def test_zeros_need_not_be_sent_and_take_no_place(store, tmp_path):
    save(tmp_path / "zeros", {"a": np.zeros(5 * 2**20, np.float32)})
    new = (tmp_path / "zeros").read_bytes()
    receiver = store.accept(len(new))
    table = put(store, receiver, new)
    for number in range(1, PARTS):
        part(store, receiver, number, len(new)).unlink()
    update = receiver.close(table)
    assert not update.load()["a"].any()
    assert sum(path.stat().st_blocks for path in written(store)) * 512 < 2 * 2**20


def test_parts_that_hold_no_weights_are_refused(store):
    receiver = store.accept(400)
    with pytest.raises(WeightsError, match="safetensors"):
        receiver.close(put(store, receiver, b"junk" * 100))
    assert written(store) == []
