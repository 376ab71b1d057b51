"""The server's store: capabilities, what arrives under them, and what a crash leaves."""

import gc

import numpy as np
import pytest

from federator.runtime.parcels import Part, cut, name, sha256
from federator.runtime.store import Store
from federator.runtime.weights import WeightsError, save

WEIGHTS = {"a": np.random.default_rng(1).normal(size=5 * 2**20).astype(np.float32)}
PARTS = 21


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def written(store):
    """Return every file of a store."""
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


def put(store, capability, data):
    """Write parts as the gateway does; return their table."""
    table = []
    for number, part in enumerate(cut(len(data))):
        (store.folder / "up" / capability / name(number, len(data))).write_bytes(data[part])
        table.append(Part(part.stop - part.start, sha256(memoryview(data[part]))))
    return tuple(table)


@pytest.fixture
def data(tmp_path):
    save(tmp_path / "weights", WEIGHTS)
    return (tmp_path / "weights").read_bytes()


def test_a_published_model_is_there_with_the_hashes_of_its_parts(store, data):
    file = store.keep(WEIGHTS)
    capability, table = store.publish(file)
    published = (store.folder / "down" / capability / "model").read_bytes()
    assert published == data
    assert [part.size for part in table] == [2**20] * 20 + [len(data) - 20 * 2**20]
    assert [part.sha256 for part in table] == [sha256(memoryview(data[p])) for p in cut(len(data))]
    store.withdraw()
    assert not (store.folder / "down" / capability).exists()


def test_as_many_parts_are_accepted_as_there_are_to_be(store):
    lent = store.folder / "up" / store.accept(2 * 2**20 + 1) / "slots"
    assert sorted(path.name for path in lent.iterdir()) == ["0000.1", "0001.1", "0002.1"]


def test_what_has_arrived_is_out_of_reach_and_lasts_while_it_is_held(store, data):
    capability = store.accept(len(data))
    update = store.close(capability, put(store, capability, data))
    assert not (store.folder / "up" / capability).exists()
    np.testing.assert_array_equal(update.load()["a"], WEIGHTS["a"])
    del update
    gc.collect()
    assert written(store) == []


def test_what_has_arrived_is_shown_once(store, data):
    capability, seen = store.accept(len(data)), {}
    store.close(
        capability, put(store, capability, data), look=lambda at, b: seen.update({at: bytes(b)})
    )
    assert b"".join(seen[at] for at in sorted(seen)) == data
    assert all(data[at : at + len(piece)] == piece for at, piece in seen.items())


@pytest.mark.parametrize("case", ["changed", "missing", "short", "none"])
def test_a_part_that_is_not_what_the_site_said_is_refused_by_its_number(store, data, case):
    capability = store.accept(len(data))
    table = put(store, capability, data)
    second = store.folder / "up" / capability / "0001.1"
    if case == "changed":
        second.write_bytes(b"x" * table[1].size)
    elif case == "missing":
        second.unlink()
    elif case == "short":
        second.write_bytes(data[cut(len(data))[1]][:-1])
    else:
        table = ()
    with pytest.raises(WeightsError, match="no update" if case == "none" else "part 1 is not"):
        store.close(capability, table)
    assert written(store) == []


def test_parts_of_the_model_itself_need_not_be_sent(store, data):
    """What is not sent lasts as well, and each folder goes when nothing of it is used."""
    model = store.keep(WEIGHTS)
    known = store.publish(model)[1]
    trained = {"a": WEIGHTS["a"].copy()}
    trained["a"][-1] += 1
    save(store.folder / "trained", trained)
    new = (store.folder / "trained").read_bytes()
    (store.folder / "trained").unlink()
    capability = store.accept(len(data))
    table = put(store, capability, new)
    for number in range(PARTS - 1):
        (store.folder / "up" / capability / f"{number:04d}.1").unlink()
    update = store.close(capability, table, model, known)
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
    capability = store.accept(len(data))
    with pytest.raises(WeightsError, match="part 0 is not"):
        store.close(capability, table)


def test_zeros_need_not_be_sent_and_take_no_place(store, tmp_path):
    save(tmp_path / "zeros", {"a": np.zeros(5 * 2**20, np.float32)})
    new = (tmp_path / "zeros").read_bytes()
    capability = store.accept(len(new))
    table = put(store, capability, new)
    for number in range(1, PARTS):
        (store.folder / "up" / capability / f"{number:04d}.1").unlink()
    update = store.close(capability, table)
    assert not update.load()["a"].any()
    assert sum(path.stat().st_blocks for path in written(store)) * 512 < 2 * 2**20


def test_parts_that_hold_no_weights_are_refused(store):
    capability = store.accept(400)
    with pytest.raises(WeightsError, match="safetensors"):
        store.close(capability, put(store, capability, b"junk" * 100))
    assert written(store) == []


def test_what_a_crash_has_left_is_swept(store, data):
    capability = store.accept(len(data))
    update = store.close(capability, put(store, capability, data))
    store.accept(len(data))
    store.publish(update)
    (store.folder / "arriving" / "0000000001").write_bytes(b"half a part")
    assert len(written(store)) == 3 * PARTS + 1 + 1
    assert written(Store(store.folder)) == []
