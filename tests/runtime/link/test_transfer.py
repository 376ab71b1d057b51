"""Parts between the store and shared memory: cut lines, wrong bytes, and nobody waiting."""

import http.client
import math
import socket
import ssl
import threading
import time
from contextlib import suppress

import numpy as np
import pytest
from fakes.update import left

from federator.runtime.link import transfer as parts_transfer
from federator.runtime.link.gateway import Folder, Gateway
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.protocol.instructions import InstructionError
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.shared_memory import Update
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.format import describe, head
from federator.runtime.weights.parts import Part, PartsManifest

WEIGHTS = {"a": np.random.default_rng(1).normal(size=10 * 2**20).astype(np.float32)}
STEP, PARTS = 4 * 2**20, 11
SIZE = 10 * 2**22 + 1000
NEVER_SEEN = (Part(7, "0" * 64),)


class Faulty(Folder):
    """A line that is cut, or changes bytes, the first few times that a part is carried."""

    def __init__(self, path, cuts=(), changes=()):
        super().__init__(path)
        self.cuts, self.changes, self.carried = list(cuts), list(changes), []

    def get(self, capability, start, into, until):
        number = start // STEP
        if number in self.cuts:
            self.cuts.remove(number)
            into[:10] = b"x" * 10
            raise ConnectionResetError("cut")
        super().get(capability, start, into, until)
        if number in self.changes:
            self.changes.remove(number)
            into[5] ^= 1
        self.carried.append(number)

    def put(self, capability, part, data, until):
        number = int(part[:4])
        if number in self.cuts:
            self.cuts.remove(number)
            raise ConnectionResetError("cut")
        super().put(capability, part, data, until)
        self.carried.append(number)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def model(store):
    return store.keep(WEIGHTS)


def soon():
    return time.time() + 20


def asked(receiver):
    """Return a manifest of a model of which the update has no part in common."""
    return PartsManifest("0" * 32, NEVER_SEEN, receiver.capability)


def test_models_arrive_in_the_same_memory(store, model):
    transfer = PartTransfer(Folder(store.folder))
    memory, tensors = transfer.fetch(PartsManifest(*store.publish(model)), soon())
    np.testing.assert_array_equal(memory.weights["a"], WEIGHTS["a"])
    assert tensors == describe(WEIGHTS)
    half = {"a": WEIGHTS["a"] / 2}
    assert transfer.fetch(PartsManifest(*store.publish(store.keep(half))), soon())[0] is memory
    np.testing.assert_array_equal(memory.weights["a"], half["a"])


def test_memory_that_somebody_may_still_write_to_is_not_used_again(store, model):
    transfer = PartTransfer(way := Faulty(store.folder))
    manifest = PartsManifest(*store.publish(model))
    before, _ = transfer.fetch(manifest, soon())
    transfer.let_go()
    memory, _ = transfer.fetch(manifest, soon())
    before.buffer[:] = bytes(len(before.buffer))
    np.testing.assert_array_equal(memory.weights["a"], WEIGHTS["a"])
    assert len(way.carried) == 2 * PARTS


def test_what_a_worker_has_changed_is_fetched_again(store, model):
    transfer, manifest = (
        PartTransfer(way := Faulty(store.folder)),
        PartsManifest(*store.publish(model)),
    )
    memory, _ = transfer.fetch(manifest, soon())
    way.carried.clear()
    memory.buffer[:20] = memory.buffer[-20:] = b"Jane Doe, MRN 4711 ."
    memory, tensors = transfer.fetch(manifest, soon())
    np.testing.assert_array_equal(memory.weights["a"], WEIGHTS["a"])
    assert tensors == describe(WEIGHTS)
    assert sorted(way.carried) == [0, PARTS - 1]


def test_what_a_worker_changes_at_the_last_moment_names_no_tensors(store, model, monkeypatch):
    """The link takes the layout of an update from the model's."""
    transfer, manifest = PartTransfer(Folder(store.folder)), PartsManifest(*store.publish(model))
    honest = parts_transfer._side_by_side

    def changed(*what):
        done = honest(*what)
        transfer._model.buffer[:8] = (2**40).to_bytes(8, "little")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(parts_transfer, "_side_by_side", changed)
        with pytest.raises(InstructionError, match="part 0 of the model is not the coordinator's"):
            transfer.fetch(manifest, soon())
    assert transfer.fetch(manifest, soon())[1] == describe(WEIGHTS)


def test_zeros_need_not_travel_to_be_there(store, model):
    transfer = PartTransfer(way := Faulty(store.folder))
    transfer.fetch(PartsManifest(*store.publish(model)), soon())
    way.carried.clear()
    none = {"a": WEIGHTS["a"].copy()}
    none["a"][STEP // 4 : STEP] = 0
    fetched, _ = transfer.fetch(PartsManifest(*store.publish(store.keep(none))), soon())
    np.testing.assert_array_equal(fetched.weights["a"], none["a"])
    assert sorted(way.carried) == [1, 4], "the parts that are zeros only in part"
    assert transfer.fetched == 2 * STEP


def test_a_model_of_another_size_takes_the_place_of_the_last(store, model):
    transfer = PartTransfer(Folder(store.folder))
    transfer.fetch(PartsManifest(*store.publish(model)), soon())
    small = {"a": np.zeros(3 * 2**20, np.float32), "b": np.ones(2, np.float32)}
    fetched, _ = transfer.fetch(PartsManifest(*store.publish(store.keep(small))), soon())
    for name, numbers in small.items():
        np.testing.assert_array_equal(fetched.weights[name], numbers)


def test_an_update_arrives_with_its_table(store):
    receiver = store.accept(SIZE)
    table = PartTransfer(Folder(store.folder)).send(asked(receiver), left(WEIGHTS), soon())
    update = receiver.close(table)
    np.testing.assert_array_equal(update.load()["a"], WEIGHTS["a"])
    assert list((store.folder / "arriving").iterdir()) == []


def test_only_the_parts_that_a_cut_has_kept_back_are_carried_again(store, model):
    way = Faulty(store.folder, cuts=[1, 1, 2])
    PartTransfer(way).fetch(PartsManifest(*store.publish(model)), soon())
    assert sorted(way.carried) == list(range(PARTS))
    receiver = store.accept(SIZE)
    way = Faulty(store.folder, cuts=[0, 2, 2])
    receiver.close(PartTransfer(way).send(asked(receiver), left(WEIGHTS), soon()))
    assert sorted(way.carried) == list(range(PARTS))


def test_a_part_with_a_wrong_hash_is_fetched_again_and_then_refused_by_name(store, model):
    manifest = PartsManifest(*store.publish(model))
    way = Faulty(store.folder, changes=[1])
    PartTransfer(way).fetch(manifest, soon())
    assert sorted(way.carried) == [0, 1, 1, *range(2, PARTS)]
    way = Faulty(store.folder, changes=[1, 1])
    with pytest.raises(InstructionError, match="part 1 of the model is not the coordinator's"):
        PartTransfer(way).fetch(manifest, soon())


def test_nobody_is_waited_for_longer_than_they_wait(store, model):
    manifest = PartsManifest(*store.publish(model))
    with pytest.raises(Failure, match="deadline"):
        PartTransfer(Faulty(store.folder, cuts=[1] * 1000)).fetch(manifest, time.time() + 0.5)
    store.withdraw()
    manifest = PartsManifest(manifest.down, NEVER_SEEN, "0" * 32)
    for try_it in (
        lambda transfer: transfer.fetch(manifest, soon()),
        lambda transfer: transfer.send(manifest, left(WEIGHTS), soon()),
    ):
        began = time.time()
        with pytest.raises(Failure, match="deadline"):
            try_it(PartTransfer(Folder(store.folder)))
        assert time.time() - began < 10, "it does not try again what is gone"


def test_more_parts_than_were_lent_are_not_taken(store):
    manifest = asked(store.accept(SIZE - STEP))
    with pytest.raises(Failure, match="deadline"):
        PartTransfer(Folder(store.folder)).send(manifest, left(WEIGHTS), soon())
    assert not (store.folder / "up" / manifest.up / f"{PARTS - 1:04d}.4").exists()


def test_a_manifest_that_is_larger_than_the_model_is_refused(store, model):
    down, table = store.publish(model)
    more = PartsManifest(down, (*table[:-1], Part(STEP, table[-1].sha256), table[-1]))
    with pytest.raises(InstructionError, match=f"part {PARTS - 1}"):
        PartTransfer(Folder(store.folder)).fetch(more, soon())


def test_parts_that_the_other_side_has_do_not_travel(store):
    """Only the last number is trained; the update of this one site is the next model."""
    transfer, model = PartTransfer(way := Faulty(store.folder)), store.keep(WEIGHTS)
    for number, carried in ((1.0, [*range(PARTS), PARTS - 1]), (2.0, [PARTS - 1])):
        way.carried.clear()
        receiver = store.accept(model.size)
        manifest = PartsManifest(*store.publish(model), receiver.capability)
        if number == 2.0:  # a round that failed in between costs nothing
            transfer.fetch(manifest, soon())
        memory, tensors = transfer.fetch(manifest, soon())
        trained = {"a": memory.weights["a"].copy()}
        trained["a"][-1] = number
        memory.fill(trained)
        table = transfer.send(manifest, Update(head(tensors), memory), soon())
        model = receiver.close(table, model, manifest.parts)
        np.testing.assert_array_equal(model.load()["a"], trained["a"])
        assert sorted(way.carried) == sorted(carried)
        assert transfer.fetched == (manifest.size if number == 1.0 else 0)


def test_a_model_that_is_tested_twice_is_fetched_once(store, model):
    transfer = PartTransfer(way := Faulty(store.folder))
    for _ in range(2):
        fetched, _ = transfer.fetch(PartsManifest(*store.publish(model)), soon())
        np.testing.assert_array_equal(fetched.weights["a"], WEIGHTS["a"])
    assert len(way.carried) == PARTS


def test_of_a_model_that_is_known_in_part_the_rest_is_fetched(store, model):
    transfer = PartTransfer(way := Faulty(store.folder))
    transfer.fetch(PartsManifest(*store.publish(model)), soon())
    way.carried.clear()
    others = {"a": WEIGHTS["a"].copy()}
    others["a"][0] = others["a"][-1] = 0
    manifest = PartsManifest(*store.publish(store.keep(others)))
    np.testing.assert_array_equal(transfer.fetch(manifest, soon())[0].weights["a"], others["a"])
    assert sorted(way.carried) == [0, PARTS - 1]
    assert transfer.fetched == manifest.parts[0].size + manifest.parts[-1].size


def test_what_a_site_has_outlasts_a_model_that_never_came(store, model):
    transfer = PartTransfer(way := Faulty(store.folder))
    transfer.fetch(PartsManifest(*store.publish(model)), soon())
    others = {"a": WEIGHTS["a"].copy()}
    others["a"][-1] = 0
    manifest = PartsManifest(*store.publish(store.keep(others)))
    way.cuts, way.carried = [PARTS - 1] * 1000, []
    with pytest.raises(Failure, match="deadline"):
        transfer.fetch(manifest, time.time() + 0.3)
    way.cuts = []
    np.testing.assert_array_equal(transfer.fetch(manifest, soon())[0].weights["a"], others["a"])
    assert way.carried == [PARTS - 1]


class Endless:
    """A connection whose answers go on after what was asked for."""

    status, closed = 206, False

    def request(self, *_):
        pass

    def getresponse(self):
        return self

    def readinto(self, into):
        return len(into)

    def read(self, most=-1):
        assert 0 <= most < 100, "all of it is more than there is memory"
        return b"x" * most

    def close(self):
        self.closed = True


def test_a_body_that_goes_on_is_not_read():
    gateway, connection = Gateway("127.0.0.1:1", ssl.create_default_context()), Endless()
    gateway._idle.append(connection)
    with pytest.raises(OSError, match="another number of bytes"):
        gateway.get("0" * 32, 0, memoryview(bytearray(8)), math.inf)
    assert connection.closed and gateway._idle == []


@pytest.fixture
def dripping(monkeypatch):
    """A gateway whose server answers with a byte now and then, and never ends."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(line):
        with suppress(OSError):
            line.recv(2**16)
            line.sendall(b"HTTP/1.1 206 Partial\r\nContent-Length: 1000000\r\n\r\n")
            while True:
                line.sendall(b"x")
                time.sleep(0.05)

    def serve():
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                threading.Thread(target=answer, args=(line,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    port = listener.getsockname()[1]
    plain = http.client.HTTPConnection
    monkeypatch.setattr(Gateway, "_connection", lambda _: plain("127.0.0.1", port, timeout=60))
    with listener:
        yield Gateway(f"127.0.0.1:{port}", ssl.create_default_context())


def test_an_answer_that_comes_byte_by_byte_is_waited_for_no_longer_than_anybody_waits(dripping):
    transfer = PartTransfer(dripping)
    manifest = PartsManifest("0" * 32, (Part(1000, "0" * 64),), "")
    began = time.monotonic()
    with pytest.raises(Failure, match="deadline"):
        transfer.fetch(manifest, time.time() + 1)
    assert 0.9 < time.monotonic() - began < 10
