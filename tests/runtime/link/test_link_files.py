"""A link whose weights travel as files, with a real worker's end of the handover."""

import threading
import time

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Message, RecordDict

from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.fleet import Run
from federator.runtime.link.gateway import Folder
from federator.runtime.link.link import Link
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.handover import Channel, HandoverError, WorkerListener, connect
from federator.runtime.protocol.instructions import Instruction, sign
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import describe, file_size, head
from federator.runtime.weights.local_tensors import LocalTensors
from federator.runtime.weights.parts import PartsManifest

pytestmark = pytest.mark.usefixtures("in_a_run")

MODEL = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3)}
TRAINED = {"w": MODEL["w"] + 1, "n": np.array(4)}
ANSWER = {"examples": {"trainset": 3, "valset": 0, "testset": 0}, "evaluations": {}}
RUN, NODE = 7, 42


def digest(files="", weights=None):
    packed = None if weights is None else messages.packed_in(messages.to_record(weights))
    return messages.Received("", files=files, arrays=packed).digest


class Site:
    """A link with its worker, the store it reaches, and the coordinator's key."""

    def __init__(self, folder):
        self.store, self.key = Store(folder / "store"), Ed25519PrivateKey.generate()
        known = (CoordinatorKey.of(self.key.public_key()),)
        transfer, listener = (
            PartTransfer(Folder(self.store.folder)),
            WorkerListener(folder / "socket"),
        )
        policy, self.socket = Policy(2), folder / "socket"
        self.link = Link("north", "h", known, policy, True, listener, transfer)
        self.received, self.memories, self.packets = [], [], []
        self.write = lambda memory: memory.fill(TRAINED)
        self.said = {**ANSWER, "update": True}
        self.start_worker()

    def start_worker(self):
        self.channel: Channel = connect(self.socket, 5)
        threading.Thread(target=self.work, args=[self.channel], daemon=True).start()

    def work(self, channel):
        try:
            while True:
                packet, memory = channel.receive()
                self.packets.append(packet)
                if memory:
                    model = memory[0].weights
                    self.received.append({name: one.copy() for name, one in model.items()})
                    self.memories.append(memory)
                    self.write(memory[-1])
                channel.send(self.said)
        except HandoverError:
            pass

    def order(self, manifest=None, weights=None, signed=None, **further):
        """Return an instruction to train, as the server writes it."""
        fields = {"kind": "train", "round": 1, "expires": time.time() + 30, **further}
        text = Instruction(**fields).write()
        content, files = RecordDict(), manifest.write() if manifest else ""
        if weights is not None:
            content["arrays"] = messages.to_record(weights)
        signature = sign(self.key, text, RUN, NODE, signed or digest(files, weights))
        content["config"] = messages.instruction_record(text, signature, files)
        return Message(content, NODE, "train")

    def manifest(self):
        file = self.store.keep(MODEL)
        self.receiver = self.store.accept(file.size)
        return PartsManifest(*self.store.publish(file), self.receiver.capability)

    def answer(self, message):
        return self.link.answer(message, Run(RUN, "h", {}), NODE)


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.channel.close()


def refusal(reply):
    return str(replies.read_failure(reply.error)[1])


def equal(left, right):
    return list(left) == list(right) and all(np.array_equal(left[k], right[k]) for k in left)


def test_weights_travel_as_files_where_the_message_says_so(site):
    manifest = site.manifest()
    reply = site.answer(site.order(manifest))
    assert equal(site.received[0], MODEL)
    assert messages.weights_in(reply.content) is None
    update = site.receiver.close(replies.parts_in(reply.content))
    assert equal(update.load(), TRAINED)
    assert replies.takes_files(reply.content)


def test_weights_travel_in_messages_where_they_came_so(site):
    reply = site.answer(site.order(weights=MODEL))
    assert equal(site.received[0], MODEL)
    assert equal(messages.weights_in(reply.content), TRAINED)
    assert replies.parts_in(reply.content) is None


def test_other_files_than_were_signed_are_not_fetched(site):
    other = PartsManifest(
        *site.store.publish(site.store.keep(TRAINED)), site.store.accept(1000).capability
    )
    reply = site.answer(site.order(other, signed=digest(site.manifest().write())))
    assert "the coordinator has not signed" in refusal(reply)
    in_message = site.answer(site.order(weights=TRAINED, signed=digest(weights=MODEL)))
    assert "the coordinator has not signed" in refusal(in_message)
    assert site.received == []


def test_files_that_are_not_what_was_signed_are_refused_by_part(site):
    manifest = site.manifest()
    path = site.store.folder / "down" / manifest.down / "model"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert "part 0 of the model is not the coordinator's" in refusal(
        site.answer(site.order(manifest))
    )
    assert site.received == []


def test_a_manifest_or_weights_of_another_form_are_refused(site, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(PartsManifest, "write", lambda _: '["../../etc", "", []]')
        assert "not a manifest" in refusal(site.answer(site.order(site.manifest())))
    message = site.order(weights=MODEL)
    message.content["arrays"] = messages.ArrayRecord()
    assert "safetensors" in refusal(site.answer(message))


def headers():
    """Return what might stand before an update's numbers instead, such as a patient's name."""
    start = head(describe(TRAINED))
    plain = start[8:].rstrip()
    for changed in (
        b'{"__metadata__":{"mrn":"4711"},' + plain[1:],
        plain.replace(b'"dtype"', b' "dtype"'),
        plain.replace(b'"w"', b'"v"'),
    ):
        yield (len(start) - 8).to_bytes(8, "little") + changed[: len(start) - 8]


@pytest.mark.parametrize("start", headers())
def test_nothing_rides_along_with_an_update_s_file(site, start):
    def write(memory):
        memory.fill(TRAINED)
        memory.buffer[: len(start)] = start

    site.write = write
    manifest = site.manifest()
    assert "may not leave the site (weights)" in refusal(site.answer(site.order(manifest)))
    (slots,) = (site.store.folder / "up" / manifest.up).iterdir()
    assert slots.name == "slots"


def test_nothing_rides_along_that_is_written_after_the_link_has_looked(site, monkeypatch):
    def report(*_):
        site.memories[-1][0].buffer[:20] = b"Jane Doe, MRN 4711 ."

    monkeypatch.setattr("federator.runtime.link.link.log_leaving", report)
    reply = site.answer(site.order(site.manifest()))
    assert equal(site.receiver.close(replies.parts_in(reply.content)).load(), TRAINED)
    reply = site.answer(site.order(weights=MODEL))
    assert equal(messages.weights_in(reply.content), TRAINED)


def test_the_model_is_not_sent_for_an_update_that_was_not_written(site):
    site.write, site.said = lambda _: None, {**ANSWER, "update": False}
    assert "may not leave" in refusal(site.answer(site.order(site.manifest())))


def test_an_update_is_written_over_the_model_and_a_rounded_one_beside_it(site):
    site.answer(site.order(site.manifest()))
    (model,) = site.memories[-1]
    assert equal(model.weights, TRAINED)
    rounded = {"w": np.zeros((2, 3), np.float16), "n": np.array(4)}
    given = {"w": MODEL["w"].astype(np.float16), "n": MODEL["n"]}
    site.write = lambda memory: memory.fill(rounded)
    reply = site.answer(site.order(weights=given, encoding="float16"))
    assert equal(messages.weights_in(reply.content), rounded)
    assert equal(site.memories[-1][0].weights, given)


@pytest.mark.parametrize("how", ["late", "dead"])
def test_what_a_worker_that_was_given_up_writes_is_not_the_next_one_s_model(site, how):
    if how == "late":
        site.write = lambda _: time.sleep(0.6)
    else:
        site.write = lambda _: site.channel.close()
    reply = site.answer(site.order(site.manifest(), expires=time.time() + 0.3))
    assert {"late": "deadline", "dead": "the worker ended"}[how] in refusal(reply)
    (memory,) = site.memories[-1]
    site.write = lambda memory: memory.fill(TRAINED)
    site.start_worker()
    memory.buffer[:] = bytes(len(memory.buffer))
    assert not site.answer(site.order(site.manifest())).has_error()
    assert equal(site.received[-1], MODEL)


def test_a_worker_that_fails_costs_no_second_download(site):
    site.said = {"failure": {"reason": "exception", "type": "ValueError"}}
    site.write = lambda _: None
    assert "ValueError" in refusal(site.answer(site.order(site.manifest())))
    site.said, site.write = {**ANSWER, "update": True}, lambda memory: memory.fill(TRAINED)
    reply = site.answer(site.order(site.manifest()))
    assert replies.fetched_in(reply.content) == 0
    assert equal(site.received[-1], MODEL)


def test_an_update_whose_model_is_written_in_another_way_stands_beside_it(site):
    """Others' files have room before their numbers, or metadata."""
    start = head(describe(MODEL))
    padded = (len(start) - 8 + 64).to_bytes(8, "little") + start[8:] + b" " * 64
    path = site.store.folder / "padded"
    path.write_bytes(padded + b"".join(array.tobytes() for array in MODEL.values()))
    file = WeightFile(path)
    receiver = site.store.accept(file_size(describe(MODEL)))
    reply = site.answer(site.order(PartsManifest(*site.store.publish(file), receiver.capability)))
    assert equal(receiver.close(replies.parts_in(reply.content)).load(), TRAINED)
    assert equal(site.memories[-1][0].weights, MODEL)


def test_an_order_is_followed_once(site):
    order = site.order(site.manifest())
    assert not site.answer(order).has_error()
    assert "followed before" in refusal(site.answer(order))


def test_a_model_with_a_tensor_that_stays_at_the_site_is_refused(site):
    site.link.local = LocalTensors(("w",))
    told = refusal(site.answer(site.order(site.manifest())))
    assert "refused the instruction: the model has w, which `local` keeps at the sites" in told
    told = refusal(site.answer(site.order(weights=MODEL)))
    assert "the model has w, which" in told
    assert site.received == [], "the worker hears nothing of it"
    site.link.local = LocalTensors(("head.*",))
    site.answer(site.order(site.manifest()))
    assert len(site.received) == 1


def test_a_personal_model_is_evaluated_without_baselines_and_never_trained_for_the_server(site):
    site.link.baselines, site.said = False, ANSWER
    site.answer(site.order(kind="evaluate", model="personal"))
    assert '"model": "personal"' in site.packets[-1]["instruction"]
    told = refusal(site.answer(site.order(site.manifest(), model="personal")))
    assert "does not train another site's model" in told
    assert len(site.packets) == 1
