"""What a link does with messages that no site should follow, and with those that it should."""

import io
import json
import struct
import time
import zipfile

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict

from federator.errors import InputError
from federator.runtime.link.fleet import Run, Unreadable
from federator.runtime.link.followed import Followed
from federator.runtime.link.gateway import Folder
from federator.runtime.link.link import Link
from federator.runtime.link.polling import NotificationCounter
from federator.runtime.link.process import main, serve
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.instructions import Instruction, sign
from federator.runtime.server.storage.store import Store

pytestmark = pytest.mark.usefixtures("in_a_run")

RUN, NODE = 7, 42
OURS = Run(RUN, "a" * 64, {"rounds": 3})
WEIGHTS = {"w": np.arange(4, dtype=np.float32)}
COORDINATOR = Ed25519PrivateKey.generate()
SIZES = {"trainset": 3, "valset": 2, "testset": 1}


class Worker:
    """Answers every packet alike, and counts them."""

    def __init__(self) -> None:
        self.asked = 0

    def worker(self, deadline):
        assert deadline <= time.time() + 61
        return self

    def send(self, packet, *memory):
        self.asked += 1
        self.packet = packet
        memory[-1].fill({"w": WEIGHTS["w"] + 1})

    def answer(self, _):
        return {"examples": SIZES, "evaluations": {}, "update": True}

    def disconnect(self):
        raise AssertionError("nothing is wrong with the worker")


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def link(worker):
    return Link("north", "a" * 64, COORDINATOR.public_key(), Policy(2), False, worker)


def order(kind="train", *, key=COORDINATOR, run=RUN, node=NODE, signed=None, **changed):
    """Return the message of an instruction; ``signed``: the weights that were signed instead."""
    text = Instruction(kind, 1, time.time() + 60, **{"epochs": 1, **changed}).write()
    return written(text, signature(text, key, run, node, signed or WEIGHTS))


def signature(text, key=COORDINATOR, run=RUN, node=NODE, weights=WEIGHTS):
    packed = messages.packed_in(messages.to_record(weights))
    return sign(key, text, run, node, messages.Received(text, arrays=packed).digest)


def written(text, signed, arrays=None, **further):
    config = messages.instruction_record(text, signed)
    config.update(further)
    record = messages.to_record(WEIGHTS) if arrays is None else arrays
    return Message(RecordDict({"arrays": record, "config": config}), NODE, "train")


def refusal(link, message, run=OURS):
    return replies.read_failure(link.answer(message, run, NODE).error)


def test_what_the_coordinator_signed_is_done(link, worker):
    reply = link.answer(order(), OURS, NODE)
    assert not reply.has_error() and worker.asked == 1
    assert messages.weights_in(reply.content)["w"].tolist() == [1, 2, 3, 4]
    assert worker.packet["overrides"] == {"rounds": 3}


def test_a_run_of_another_app_is_outdated_in_words(link, worker):
    site, failure = refusal(link, order(), Run(RUN, "b" * 64, {}))
    assert (site, failure.reason) == ("north", "outdated")
    assert "aaaaaaaaaaaa" in str(failure) and "bbbbbbbbbbbb" in str(failure)
    assert "new compose file" in str(failure)
    assert worker.asked == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key": Ed25519PrivateKey.generate()}, "has not signed"),
        ({"run": 8}, "has not signed"),
        ({"node": 43}, "has not signed"),
        ({"signed": {"w": np.zeros(4, np.float32)}}, "has not signed"),
        ({"model": "south"}, "another site's model"),
        ({"model": "north"}, "no part in baselines"),
    ],
    ids=["key", "run", "receiver", "weights", "another's", "baseline"],
)
def test_an_instruction_that_is_not_the_coordinators_for_this_is_refused(
    link, worker, changed, said
):
    site, failure = refusal(link, order(**changed))
    assert (site, failure.reason) == ("north", "refused")
    assert said in str(failure)
    assert worker.asked == 0


def test_the_coordinator_is_told_once_how_many_instructions_were_forged(link, caplog):
    caplog.set_level("INFO")
    for _ in range(2):
        refusal(link, order(key=Ed25519PrivateKey.generate()))
    refusal(link, order(model="south"))  # which the coordinator has signed
    told = [replies.forged_in(link.answer(order(epochs=e), OURS, NODE).content) for e in (1, 2)]
    assert told == [2, 0]
    assert caplog.text.count("leaves: that 2 instruction(s) were not signed") == 1


DEEP = b"[" * 100_000


def npy(shape, descr="|u1"):
    """Return numpy's own file of such an array, without its numbers."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def bomb():
    """Return a zip of arrays that is a thousand times as large when it is unpacked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", npy((10**8,)) + bytes(10**8))
    return out.getvalue()


def tensors(head, body=b""):
    head = head if isinstance(head, bytes) else json.dumps(head).encode()
    return len(head).to_bytes(8, "little") + head + body


def tensor(shape, offsets=(0, 4)):
    return {"w": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}


HUGE = b'{"w":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}'
FORMLESS = {
    "no npy": b"garbage", "empty": b"", "a petabyte": npy((2**50,)), "objects": npy((3,), "|O"),
    "a shape of text": npy("abc"), "a bomb": bomb(), "deep": tensors(DEEP),
    "an endless shape": tensors(tensor([float("inf")]), b"0000"),
    "a zero of a huge shape": tensors(tensor([0, 2**70], (0, 0))),
    "no UTF-8": tensors(b"\xff\xfe{}"),
    "huge digits": tensors(HUGE), "many dimensions": tensors(tensor([1] * 70), b"0000"),
    "a list": tensors([1, 2, 3]), "numbers as text": tensors(tensor(["1"]), b"0000"),
    "offsets of text": tensors(tensor([1], "04"), b"0000"), "a NUL": tensors({"\0": 1}),
}  # fmt: skip


def packed(data, stype="safetensors", **names):
    name = names.get("name", "safetensors")
    return ArrayRecord({name: Array("uint8", (1,), stype, data)})


@pytest.mark.parametrize("data", FORMLESS.values(), ids=FORMLESS)
def test_weights_of_any_form_are_not_taken_apart_before_their_signature_holds(
    link, worker, data, monkeypatch
):
    text = Instruction("train", 1, time.time() + 60, epochs=1).write()
    unsigned = written(text, bytes(64), packed(data))
    with monkeypatch.context() as patch:
        patch.setattr("federator.runtime.weights.format.json", None)
        patch.setattr("federator.runtime.untrusted.json", None)
        reply = link.answer(unsigned, OURS, NODE)
    assert "has not signed" in str(replies.read_failure(reply.error)[1])
    assert link._forged == 1
    hashed = messages.Received(text, arrays=data).digest
    signed = written(text, sign(COORDINATOR, text, RUN, NODE, hashed), packed(data))
    assert "not weights in the safetensors format" in str(refusal(link, signed)[1])
    assert (link._forged, worker.asked) == (1, 0)


@pytest.mark.parametrize(
    "further",
    [
        {"manifest": "not json"},
        {"manifest": "[" * 100_000},
        {"manifest": json.dumps(["0" * 32, "", [[1, 5]]])},
        {"manifest": json.dumps([[], "", [[1, "0" * 64]]])},
        {"manifest": "1" * 2 * 2**20},
        {"manifest": 5},
        {"manifest": [1.5]},
        {"manifest": b"bytes"},
        {"signature": b"x"},
        {"signature": "text"},
        {"instruction": b"bytes"},
        {"instruction": 2**63 - 1},
        {"instruction": "[" * 100_000},
        {"instruction": "{" + " " * 2**16},
        {"instruction": "\0"},
        {"instruction": ""},
    ],
    ids=lambda further: repr(further)[:40],
)
def test_an_unsigned_message_of_any_form_is_a_forged_one(link, worker, further):
    text = Instruction("train", 1, time.time() + 60, epochs=1).write()
    said = str(refusal(link, written(text, bytes(64), **further))[1])
    assert "has not signed" in said or "no instruction" in said
    assert (link._forged, worker.asked) == (1, 0)


@pytest.mark.parametrize(
    "content",
    [
        RecordDict(),
        RecordDict({"config": ConfigRecord()}),
        RecordDict({"config": MetricRecord({"instruction": 1})}),
        RecordDict({"other": messages.instruction_record("{}", b"")}),
        RecordDict({
            "config": messages.instruction_record("{}", b""),
            "arrays": packed(b"", name="w"),
        }),
    ],
)  # fmt: skip
def test_a_message_without_an_instruction_is_a_forged_one(link, content):
    assert "no instruction" in str(refusal(link, Message(content, NODE, "train"))[1])
    assert link._forged == 1


@pytest.mark.parametrize(
    "text",
    ["[" * 60_000, "[]", "{}", "null", '"x"', "1e999", "NaN", "\0", "{", "9" * 5000,
     '{"sets": []}', '{"sets": 5}'],
    ids=lambda text: repr(text)[:20],
)  # fmt: skip
def test_a_signed_text_that_is_no_instruction_is_refused(link, worker, text):
    assert "not an instruction" in str(refusal(link, written(text, signature(text)))[1])
    assert (link._forged, worker.asked) == (0, 0)


def test_an_error_of_the_link_s_own_costs_one_answer(link, worker, monkeypatch):
    """Whatever it is: the next instruction is followed, by another worker."""
    dismissed = []
    monkeypatch.setattr(worker, "disconnect", lambda: dismissed.append(True))
    with monkeypatch.context() as patch:
        patch.setattr(Link, "_report", lambda *_: 1 / 0)
        assert refusal(link, order())[1].reason == "unknown"
    assert dismissed
    assert not link.answer(order(epochs=2), OURS, NODE).has_error()


def test_an_instruction_is_followed_once(link, worker):
    message = order()
    assert not link.answer(message, OURS, NODE).has_error()
    assert "was followed before" in str(refusal(link, message)[1])
    assert worker.asked == 1


def test_an_instruction_is_not_followed_again_by_a_link_that_was_started_again(worker, tmp_path):
    file, message = tmp_path / "site.followed", order()
    for first in (True, False, False):
        key = COORDINATOR.public_key()
        link = Link("north", "a" * 64, key, Policy(2), False, worker, followed=Followed(file))
        assert link.answer(message, OURS, NODE).has_error() is not first
    assert worker.asked == 1


def test_a_key_folder_that_cannot_be_written_is_told(tmp_path):
    options = ["--server", "127.0.0.1:1", "--insecure", "--site", "north", "--labels", "2",
               "--app-hash", "a", "--socket", str(tmp_path / "s")]  # fmt: skip
    with pytest.raises(InputError, match="the folder of the site's key must be writable"):
        main([*options, "--followed", str(tmp_path / "absent" / "site.followed")])


def test_a_site_with_another_number_of_examples_has_to_join_again(link, worker, monkeypatch):
    """So a worker cannot tell something in each answer by the sizes of its sets."""
    assert not link.answer(order(), OURS, NODE).has_error()
    sizes = {**SIZES, "trainset": 4711}
    said = {"examples": sizes, "evaluations": {}, "update": True}
    monkeypatch.setattr(worker, "answer", lambda _: said)
    assert refusal(link, order(epochs=2))[1].reason == "sizes"
    joined = link.answer(order("join", epochs=0), OURS, NODE)
    assert replies.outcome_in(joined.content, (), Policy(2)).examples == sizes
    assert not link.answer(order(epochs=3), OURS, NODE).has_error()


def test_a_setting_that_the_site_does_not_allow_is_named(link, worker):
    run = Run(RUN, "a" * 64, {"rounds": 3, "parameters.path": "/"})
    assert "parameters.path" in str(refusal(link, order(), run)[1])
    assert worker.asked == 0


def test_without_a_coordinator_key_the_link_is_on_its_own_machine(worker):
    link = Link("north", "a" * 64, None, Policy(2), True, worker)
    assert not link.answer(order(key=Ed25519PrivateKey.generate()), OURS, NODE).has_error()


def test_what_leaves_is_logged(link, caplog):
    caplog.set_level("DEBUG", "federator")
    link.answer(order(), OURS, NODE)
    assert "leaves: 1 tensors of 16 bytes; num-examples 3" in caplog.text
    assert "leaves: tensor w float32[4]" in caplog.text


class Away(Exception):
    """The link is not to go on."""


@pytest.mark.parametrize(
    ("silences", "beats"), [([0, 0, 0], 0), ([0, 0.3, 0], 1), ([0.3, 0, 0], 1)]
)
def test_who_was_out_of_touch_says_so_at_once(link, monkeypatch, silences, beats):
    class Fleet:
        node_id, beaten = NODE, 0

        def receive(self):
            if not silences:
                raise Away
            time.sleep(silences.pop(0))

        def heartbeat(self):
            self.beaten += 1

    monkeypatch.setattr("federator.runtime.link.process._GAP", 0.2)
    monkeypatch.setattr(link.pace, "found_nothing", lambda _: 0.01)
    fleet = Fleet()
    with pytest.raises(Away):
        serve(link, fleet)
    assert fleet.beaten == beats


class Poisoned:
    """A server whose first messages cannot be received, and whose run ends before the third."""

    node_id = NODE

    def __init__(self):
        self.replies, self.runs = [], [None, OURS]
        head = Message(RecordDict(), NODE, "train")
        self.waiting = [
            Unreadable(None, ValueError()),
            Unreadable(head, TypeError()),
            head,
            order(),
        ]

    def receive(self):
        if not self.waiting:
            raise Away
        first = self.waiting.pop(0)
        if isinstance(first, Unreadable):
            raise first
        return first

    def run(self, _):
        return self.runs.pop(0)

    def reply(self, reply, _):
        self.replies.append(reply)


def test_what_cannot_be_received_is_counted_and_told_and_the_next_is_answered(link, monkeypatch):
    fleet = Poisoned()
    monkeypatch.setattr(link.pace, "found_nothing", lambda _: 0.01)
    with pytest.raises(Away):
        serve(link, fleet)
    refused, done = fleet.replies
    assert "no known form" in str(replies.read_failure(refused.error)[1])
    assert replies.forged_in(done.content) == 2


def test_the_coordinator_says_how_many_sites_there_are(link):
    link.answer(order("join", epochs=0, sites=30), OURS, NODE)
    assert link.pace.sites == 30


class Told:
    """A server with messages for a site, each of which rings its counter; none of them is good."""

    node_id = NODE

    def __init__(self, store):
        self.store, self.counter, self.waiting = store, store.new_counter(), []
        self.asked, self.answered, self.beaten = [], [], 0

    def send(self):
        self.waiting.append(Message(RecordDict(), NODE, "train"))
        self.store.increment(self.counter)

    def receive(self):
        self.asked.append(time.monotonic())
        return self.waiting.pop(0) if self.waiting else None

    def run(self, _):
        return OURS

    def reply(self, reply, _):
        self.answered.append(reply)

    def heartbeat(self):
        self.beaten += 1


def test_where_there_is_a_counter_the_server_is_asked_when_it_changes(link, tmp_path, monkeypatch):
    server, looks = Told(Store(tmp_path / "store")), []
    link.notifications = NotificationCounter(Folder(tmp_path / "store"))
    link.notifications.subscribe(server.counter)
    server.send()
    server.send()
    scenes = iter(
        [*[None] * 20, server.send, *[None] * 20, lambda: server.store.increment(server.counter)]
    )

    def wait(_):
        looks.append(len(server.asked))
        if (scene := next(scenes, None)) is not None:
            scene()
        elif len(looks) > 60:
            raise Away

    monkeypatch.setattr("federator.runtime.link.process.time.sleep", wait)
    with pytest.raises(Away):
        serve(link, server)
    assert len(server.answered) == 3
    assert looks[19] == 3, "both that were there at first, and once in vain"
    assert looks[40] == 4, "it knew that there was one"
    assert looks[60] == 5, "it changed for nothing"


def test_a_counter_that_is_not_heard_is_none(link, tmp_path, monkeypatch):
    server = Told(Store(tmp_path / "store"))
    link.notifications = NotificationCounter(Folder(tmp_path / "store"))
    link.notifications.subscribe(server.counter)
    Store(tmp_path / "store")  # another run's
    looks = []

    def wait(_):
        looks.append(len(server.asked))
        if len(looks) > 5:
            raise Away

    monkeypatch.setattr("federator.runtime.link.process.time.sleep", wait)
    with pytest.raises(Away):
        serve(link, server)
    assert looks == [1, 2, 3, 4, 5, 6]
