"""Random changes to what comes over the network and from the worker: each ends in words."""

import json
import shutil
import socket
import tempfile
import time
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.grid import Silent
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from mutations import FUZZED, mutated, quick, values

from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.fleet import Run
from federator.runtime.link.link import Link
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy, filter_failure, filter_outcome
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.handover import Channel, HandoverError
from federator.runtime.protocol.instructions import Instruction, sign
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.server.exchange import Exchange
from federator.runtime.server.packing import Order
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.format import WeightsError, read_from
from federator.runtime.weights.parts import (
    ManifestError,
    Part,
    PartsManifest,
    read_parts,
    write_parts,
)

KEY, RUN, NODE = Ed25519PrivateKey.generate(), 7, 42
EXPIRES = time.time() + 3600  # what is changed must be the same each time
WEIGHTS = {"w": np.arange(4, dtype=np.float32), "n": np.array([1, 2])}
PACKED = messages.packed_in(messages.to_record(WEIGHTS))
TABLE = (Part(700, "a" * 64),)
MANIFEST = PartsManifest("b" * 32, TABLE, "c" * 32).write()
SIZES = {"trainset": 10, "valset": 10, "testset": 10}
TABLES = {"confusion": [[5, 0], [1, 4]], "scores.1": [[5, 0], [1, 4]]}
OUTCOME = Outcome(SIZES, {"val": Evaluation(TABLES, 0.5, 10, {"dice": 0.7})})
POLICY = Policy(Task("classification", 2), frozenset({"dice"}), 1)


class Absent:
    """The place of a worker that is not there."""

    def worker(self, _):
        return None

    def disconnect(self):
        pass


def record(data):
    return ArrayRecord({"safetensors": Array("uint8", (1,), "safetensors", data)})


@FUZZED
@given(st.data())
def test_instruction_messages(data):
    """Signed anew, so that all of it is taken apart, or not."""
    text = Instruction("train", 1, EXPIRES, epochs=1).write().encode()
    text = data.draw(mutated(text) | st.just(text)).decode(errors="surrogateescape")
    files = data.draw(
        st.just("") | mutated(MANIFEST.encode()).map(lambda one: one.decode("latin-1"))
    )
    arrays = data.draw(mutated(PACKED) | st.just(PACKED))
    signature = data.draw(st.binary(max_size=70))
    if signed := data.draw(st.booleans()):
        hashed = messages.Received(text, files=files, arrays=arrays).digest
        signature = sign(KEY, text, RUN, NODE, hashed)
    config = {"instruction": text, "signature": signature, "manifest": files}
    if data.draw(st.booleans()):
        config[data.draw(st.sampled_from([*config, "other"]))] = data.draw(values)
    content = RecordDict({"config": ConfigRecord(config), "arrays": record(arrays)})
    link = Link("north", "a", (CoordinatorKey.of(KEY.public_key()),), POLICY, False, Absent())
    with quick():
        reply = link.answer(Message(content, NODE, "train"), Run(RUN, "a", {}), NODE)
        reason = replies.read_failure(reply.error)[1].reason
    assert reason in ("refused", "no-worker")
    assert signed or link._forged == 1


class Answering(Silent):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def pull_messages(self, _):
        (order,) = self.sent
        order.metadata.__dict__["_message_id"] = "to 42"
        return [self.answer(order)]


@FUZZED
@given(st.data())
def test_replies(data):
    said = {**replies.site_record("north", True, TABLE), **replies.numbers(OUTCOME)}
    for name in data.draw(st.lists(st.sampled_from([*said, "val.metric.x", "warnings"]))):
        said[name] = data.draw(values)
    for name in data.draw(st.lists(st.sampled_from(list(said)), max_size=2)):
        said.pop(name, None)
    arrays = data.draw(mutated(PACKED) | st.just(PACKED))
    failure = json.dumps(["north", Failure("exception", "KeyError", "task.py", 3).write()]).encode()
    error = Error(2023, data.draw(mutated(failure)).decode(errors="replace"))
    content = RecordDict({"site": ConfigRecord(said), "arrays": record(arrays)})
    answer = error if data.draw(st.booleans()) else content
    folder = Path(tempfile.mkdtemp())
    try:
        store = Store(folder)
        grid = Answering(lambda order: Message(answer, reply_to=order))
        exchange = Exchange(grid, RUN, None, store, POLICY)
        model = store.keep({name: np.zeros_like(one) for name, one in WEIGHTS.items()})
        order = Order(Instruction("train", 1, time.time() + 60, sets=("val",)), model)
        sent = exchange.send({NODE: order}, set(), time.time() + 60)
        with quick():
            ((node, found),) = exchange.poll(sent)
            assert node == NODE
            assert (found.failure is None) == (found.weights is not None)
            assert str(found.failure).isprintable()
    finally:
        shutil.rmtree(folder)


@FUZZED
@given(mutated(MANIFEST.encode()), mutated(write_parts(TABLE).encode()), mutated(PACKED))
def test_tables_of_parts_and_heads_of_weights(manifest, table, packed):
    for read, data, error in (
        (PartsManifest.read, manifest.decode("latin-1"), ManifestError),
        (read_parts, table.decode("latin-1"), ManifestError),
        (read_from, packed, WeightsError),
    ):
        try:
            with quick():
                read(data)
        except error as known:
            assert str(known).isprintable()


PACKET = {
    "version": 2, "examples": SIZES, "update": True, "warnings": [{"code": "unchanged"}],
    "evaluations": {"val": {"tables": TABLES, "loss": 0.5, "examples": 10,
                            "metrics": {"dice": 0.5}, "withheld": ["scores.0"]}},
    "failure": {"reason": "exception", "type": "KeyError", "file": "task.py", "line": 3},
}  # fmt: skip


@FUZZED
@given(mutated(json.dumps(PACKET).encode()))
def test_packets_of_a_worker(packet):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        theirs.send(packet)
        theirs.close()
        try:
            with quick():
                answer, _ = Channel(ours).receive()
        except HandoverError:
            return
    with quick():
        if isinstance(failure := answer.get("failure"), dict):
            assert str(filter_failure(failure)).isprintable()
        try:
            outcome = filter_outcome(answer, ("val",), POLICY)
            assert json.dumps(replies.numbers(outcome), allow_nan=False)
        except Failure as failure:
            assert failure.reason == "withheld"
