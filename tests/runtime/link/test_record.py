"""A site's record: a line before an instruction is followed, and one before it is answered."""

import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes import coordinator
from fakes.coordinator import COORDINATOR, NODE, OURS, Worker, refusal

from federator.runtime.chain import lines
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.link.fleet import Run
from federator.runtime.link.link import Link
from federator.runtime.link.records.record import Record
from federator.runtime.protocol import receipts, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure, Outcome

pytestmark = pytest.mark.usefixtures("in_a_run")
KEY = ec.generate_private_key(ec.SECP384R1())
PLACE = {"run": "2026-11-28-001", "journal": "5" * 64}


@pytest.fixture
def recorded(tmp_path):
    """Return a function that starts a link, again with the same record."""

    def start(key=KEY, worker=None):
        record = Record("north", key, ["the coordinator's"], tmp_path, tmp_path / "site.recorded")
        of = [CoordinatorKey.of(COORDINATOR.public_key())]
        return Link("north", "a" * 64, of, Policy(2), False, worker or Worker(), record=record)

    return start


def told(kind="train", *, key=COORDINATOR, **changed):
    text = Instruction(kind, 1, time.time() + 60, **{"epochs": 1, **PLACE, **changed}).write()
    return coordinator.written(text, coordinator.signature(text, key))


def written(tmp_path):
    found = lines.read((tmp_path / "record.jsonl").read_bytes())
    assert not found.broken
    return [line.fields for line in found.good]


def fault(reply, answer, update="", **changed):
    asked = Instruction(**{"kind": "train", "round": 1, "expires": 0, **PLACE, **changed})
    signed = replies.receipt_in(reply)
    return receipts.fault(signed, KEY.public_key(), "north", asked, answer, update)


def test_what_was_asked_and_what_left_are_lines_and_the_receipt_names_them(recorded, tmp_path):
    reply = recorded().answer(told(), OURS, NODE)
    keys, asked, left = written(tmp_path)
    assert [keys["event"], asked["event"], left["event"]] == ["keys", "instruction", "answer"]
    assert json.loads(asked["instruction"])["round"] == 1 and asked["app"] == "a" * 64
    assert left["examples"] == {"trainset": 3, "valset": 2, "testset": 1}
    assert left["layout"] == {"w": "float32[4]"} and left["weights"]["bytes"] == 16
    outcome = Outcome(left["examples"])
    assert fault(reply, outcome, left["weights"]["sha256"]) == ""
    assert replies.receipt_in(reply).receipt.number == 1
    assert "number of" not in fault(reply, outcome)


def test_a_receipt_of_something_else_is_none(recorded):
    reply = recorded().answer(told(), OURS, NODE)
    update = replies.receipt_in(reply).receipt.update
    outcome = Outcome({"trainset": 3, "valset": 2, "testset": 1})
    for changed in ({"round": 2}, {"kind": "evaluate"}, {"journal": "6" * 64}, {"run": "x"}):
        assert "another instruction" in fault(reply, outcome, update, **changed)
    assert "another answer" in fault(reply, outcome, "7" * 64)
    assert "another answer" in fault(reply, Outcome({**outcome.examples, "trainset": 4}), update)
    assert "another answer" in fault(reply, Failure("late"), update)
    asked = Instruction("train", 1, 0, **PLACE)
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    signed = replies.receipt_in(reply)
    assert "not signed" in receipts.fault(signed, other, "north", asked, outcome, update)
    assert "no key" in receipts.fault(signed, None, "north", asked, outcome, update)
    assert "no receipt" in receipts.fault(None, other, "north", asked, outcome, update)


def test_a_failure_is_recorded_and_has_a_receipt(recorded, tmp_path):
    reply = recorded().answer(told(model="south"), OURS, NODE)
    assert written(tmp_path)[-1]["failure"]["reason"] == "refused"
    assert fault(reply, replies.read_failure(reply.error)[1], model="south") == ""


def test_what_the_coordinator_has_not_signed_is_counted_and_has_no_line(recorded, tmp_path):
    link = recorded()
    forged = told(key=Ed25519PrivateKey.generate())
    assert replies.receipt_in(link.answer(forged, OURS, NODE)) is None
    assert replies.receipt_in(link.answer(told(), Run(7, "b" * 64, {}), NODE)) is None
    assert [line["event"] for line in written(tmp_path)] == ["keys"]
    link.answer(told(), OURS, NODE)
    assert written(tmp_path)[-1]["unsigned"] == 1


def test_a_record_goes_on_after_a_restart(recorded, tmp_path):
    first = recorded().answer(told(), OURS, NODE)
    second = recorded().answer(told(epochs=2), OURS, NODE)
    numbers = [replies.receipt_in(reply).receipt.number for reply in (first, second)]
    assert numbers == [1, 2]
    kinds = [line["event"] for line in written(tmp_path)]
    assert kinds == ["keys", "instruction", "answer", "instruction", "answer"]
    assert "layout" not in written(tmp_path)[-1]  # it stands above
    recorded(key=ec.generate_private_key(ec.SECP384R1()))
    assert written(tmp_path)[-1]["event"] == "keys"


def test_nothing_leaves_that_cannot_be_recorded(recorded, monkeypatch):
    link, write = recorded(), lines.Appending.write

    def full(file, body, durable=False):
        if b'"answer"' in body:
            raise OSError(28, "No space left on device")
        return write(file, body, durable)

    monkeypatch.setattr(lines.Appending, "write", full)
    _, failure = refusal(link, told())
    assert failure.reason == "refused" and "No space left" in str(failure)


def test_nothing_is_followed_that_cannot_be_recorded(recorded, monkeypatch):
    worker = Worker()
    link = recorded(worker=worker)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lines.Appending, "write", full)
    assert "cannot be recorded" in str(refusal(link, told())[1])
    assert worker.asked == 0
