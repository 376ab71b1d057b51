"""The server's store: capabilities, and what a crash leaves."""

import gc

import numpy as np
import pytest

from federator.runtime.files import sha256
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save
from federator.runtime.weights.parts import Part, cut

WEIGHTS = {"a": np.random.default_rng(1).normal(size=5 * 2**20).astype(np.float32)}
PARTS = 21


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def written(store):
    """Return every file of a store."""
    return sorted(path for path in store.folder.rglob("*") if path.is_file())


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
    lent = store.folder / "up" / store.accept(2 * 2**20 + 1).capability / "slots"
    assert sorted(path.name for path in lent.iterdir()) == ["0000.1", "0001.1", "0002.1"]


def test_a_model_whose_parts_were_hashed_before_is_not_hashed_again(store, tmp_path):
    save(tmp_path / "weights", WEIGHTS)
    table = (Part(1, "0" * 64),)
    assert store.publish(WeightFile(tmp_path / "weights", parts=table))[1] == table


def test_a_counter_has_the_number_of_messages_until_another_run_begins(store):
    first, second = store.new_counter(), store.new_counter()
    for _ in range(300):
        store.increment(first)
    store.withdraw()
    counts = [(store.folder / "counters" / counter).read_bytes() for counter in (first, second)]
    assert counts == [(300).to_bytes(8, "big"), bytes(8)]
    assert written(Store(store.folder)) == []


def test_counters_are_removed_when_a_run_ends(tmp_path):
    store, another = Store(tmp_path / "store"), Store(tmp_path / "store")
    store.new_counter()
    kept = another.new_counter()
    del store
    gc.collect()
    assert [path.name for path in written(another)] == [kept]


def test_what_a_crash_has_left_is_swept(store, data):
    capability = store.accept(len(data)).capability
    kept = store.keep(WEIGHTS)
    store.publish(kept)
    (store.folder / "up" / capability / "0000.1").write_bytes(b"a part")
    (store.folder / "arriving" / "0000000001").write_bytes(b"half a part")
    assert len(written(store)) == PARTS + 2 + 1 + 1
    assert written(Store(store.folder)) == []
