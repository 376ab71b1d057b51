"""What a link does with messages that no site should follow, and with those that it should."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.coordinator import KEYS, NODE, OURS, RUN, SIZES, order, refusal

from federator.runtime.link.fleet import Run
from federator.runtime.link.followed import Followed
from federator.runtime.link.link import Link
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy

pytestmark = pytest.mark.usefixtures("in_a_run")


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
        ({"flower_run": 8}, "has not signed"),
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


def test_an_error_of_the_link_s_own_costs_one_answer(link, worker, monkeypatch):
    """Whatever it is: the next instruction is followed, by another worker."""
    dismissed = []
    monkeypatch.setattr(worker, "disconnect", lambda: dismissed.append(True))
    with monkeypatch.context() as patch:
        patch.setattr("federator.runtime.link.link.log_leaving", lambda *_: 1 / 0)
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
        link = Link("north", "a" * 64, KEYS, Policy(2), False, worker, followed=Followed(file))
        assert link.answer(message, OURS, NODE).has_error() is not first
    assert worker.asked == 1


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
    link = Link("north", "a" * 64, (), Policy(2), True, worker)
    assert not link.answer(order(key=Ed25519PrivateKey.generate()), OURS, NODE).has_error()


def test_what_leaves_is_logged(link, caplog):
    caplog.set_level("DEBUG", "federator")
    link.answer(order(), OURS, NODE)
    assert "leaves: 1 tensors of 16 bytes; num-examples 3" in caplog.text
    assert "leaves: tensor w float32[4]" in caplog.text
