"""What a link does with messages that no site should follow, and with those that it should."""

import time

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from federator.runtime import messages
from federator.runtime.disclosure import Policy
from federator.runtime.flower import Run
from federator.runtime.instructions import Instruction, sign
from federator.runtime.link import Link, least, longer, serve
from federator.runtime.sealed import Sealed
from federator.runtime.weights import digest

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

    def send(self, packet, _):
        self.asked += 1
        self.packet = packet

    def answer(self, _):
        return {"examples": SIZES, "evaluations": {}}, Sealed.of({"w": WEIGHTS["w"] + 1})

    def dismiss(self):
        raise AssertionError("nothing is wrong with the worker")


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    """Be a process of a run, as whoever writes a message of Flower's must."""
    for name, value in (("_run_id", RUN), ("_task_id", 1), ("_node_id", NODE)):
        monkeypatch.setattr(TaskIdentity, name, value)


@pytest.fixture
def worker():
    return Worker()


@pytest.fixture
def link(worker):
    return Link("north", "a" * 64, COORDINATOR.public_key(), Policy(2), False, worker)


def order(kind="train", *, key=COORDINATOR, run=RUN, node=NODE, signed=None, **changed):
    """Return the message of an instruction; ``signed``: the weights that were signed instead."""
    text = Instruction(kind, 1, time.time() + 60, **{"epochs": 1, **changed}).write()
    signature = sign(key, text, run, node, digest(signed or WEIGHTS))
    content = RecordDict({
        "arrays": messages.to_record(WEIGHTS),
        "config": messages.instruction_record(text, signature),
    })  # fmt: skip
    return Message(content, NODE, "train")


def refusal(link, message, run=OURS):
    return messages.read_failure(link.answer(message, run, NODE).error)


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
    told = [messages.forged_in(link.answer(order(epochs=e), OURS, NODE).content) for e in (1, 2)]
    assert told == [2, 0]
    assert caplog.text.count("leaves: that 2 instruction(s) were not signed") == 1


def test_a_message_without_an_instruction_is_refused(link):
    message = Message(RecordDict(), NODE, "train")
    assert "no instruction" in str(refusal(link, message)[1])


def test_an_instruction_is_followed_once(link, worker):
    message = order()
    assert not link.answer(message, OURS, NODE).has_error()
    assert "was followed before" in str(refusal(link, message)[1])
    assert worker.asked == 1


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


def test_a_busy_server_is_asked_less_often():
    waits = [0.02]
    for _ in range(20):
        waits.append(longer(waits[-1], 0.02, True, taken=0.01, sites=3))
    assert waits == sorted(waits)
    assert waits[-1] == 0.25
    assert longer(0.25, 0.02, False, taken=0.01, sites=3) > 0.25
    assert longer(0.02, 0.02, True, taken=0.3, sites=3) == pytest.approx(2.0)
    assert longer(0.02, 0.02, True, taken=60.0, sites=3) == 5.0
    assert longer(5.0, 0.02, True, taken=0.01, sites=3) == 0.25, "it is not busy any more"


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

        def beat(self):
            self.beaten += 1

    monkeypatch.setattr("federator.runtime.link._GAP", 0.2)
    monkeypatch.setattr("federator.runtime.link.longer", lambda *_: 0.01)
    fleet = Fleet()
    with pytest.raises(Away):
        serve(link, fleet)
    assert fleet.beaten == beats


def test_after_long_work_the_server_is_asked_less_often():
    assert least(0.1) == 0.02
    assert least(10.0) == longer(0.4, least(10.0), True, taken=0.01, sites=3) == 0.4
    assert least(3600.0) == 1.0


@pytest.mark.parametrize("sites", [6, 10, 30, 100, 400])
def test_many_sites_take_a_quarter_of_what_the_server_can_answer(link, sites):
    link.answer(order("join", epochs=0, sites=sites), OURS, NODE)
    asked_a_second = sites / longer(0.02, 0.02, True, taken=0.01, sites=link.sites)
    assert 0.012 * asked_a_second < 0.26
    assert longer(0.02, 0.02, True, taken=0.01, sites=10**9) == 30.0
