"""A training or an evaluation beyond the site's privacy budget stops before it begins."""

from dataclasses import asdict, replace

import pytest
from fakes.coordinator import KEYS, NODE, OURS, SIZES, Worker, order, refusal

from federator.runtime.link.link import Link
from federator.runtime.link.policy.rules import PrivacyRule, Rules
from federator.runtime.link.privacy import opening
from federator.runtime.link.privacy.ledger import FILE, PrivacyLedger
from federator.runtime.link.process import disclosure
from federator.runtime.protocol import replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.privacy.accountant import epsilon
from federator.runtime.protocol.privacy.spending import Spending

pytestmark = pytest.mark.usefixtures("in_a_run")

EPOCH = Spending(0.1, 1.1, 10)
SETTINGS = "epsilon=12 delta=1e-05 clip=1.0 noise=1.1 unit=record"
TWO = Task("classification", 2)
SERVER = Policy(TWO, min_cell_count=0, hears_noise=True)
EVALUATED = {
    "tables": {"confusion": [[1, 0], [0, 0]], "scores.0": [[1] * 64] * 2},
    "loss": 0.25, "examples": 1, "metrics": {"dice": 0.5},
}  # fmt: skip


class PrivateWorker(Worker):
    """Says what an epoch costs when it joins, and what its training has cost."""

    def __init__(self, real=None):
        super().__init__()
        self.real = real

    def send(self, packet, *memory):
        super().send(packet, *memory)
        self.told = EPOCH if '"join"' in packet["instruction"] else self.real or EPOCH

    def answer(self, deadline):
        answer = super().answer(deadline)
        answer["evaluations"] = {"test": EVALUATED, "val": EVALUATED}
        return {**answer, "spending": self.told and asdict(self.told)}


@pytest.fixture
def linked(tmp_path):
    """Return a function that starts a link with a worker: each time as after a restart."""

    def made(settings=SETTINGS, rule=None, app="a" * 64, worker=None):
        worker = worker or PrivateWorker()
        budget = opening.budget(settings, rule, tmp_path, tmp_path / "site.key")
        policy = disclosure(Policy(TWO, frozenset({"dice"}), survey=True), Rules(), budget.noise)
        link = Link("north", app, KEYS, policy, True, worker, budget=budget)
        assert not link.answer(order("join"), _run(app), NODE).has_error()
        return link

    return made


def _run(app):
    return replace(OURS, app_hash=app)


def _rounds(link, most=100, **changed):
    """Return how many rounds a link trains before it refuses one, and that refusal."""
    for done in range(most):
        answer = link.answer(order(round=done + 1, **changed), _run(link.app_hash), NODE)
        if answer.has_error():
            return done, str(replies.read_failure(answer.error)[1])
    raise AssertionError("it refused none")


PLANNED = next(n for n in range(1, 100) if epsilon({(0.1, 1.1): 10 * n}, 1e-5) > 0.8 * 12) - 1


def test_a_round_beyond_the_cap_is_refused_before_training_and_by_its_rule_alone(linked, caplog):
    worker = PrivateWorker()
    done, told = _rounds(linked(worker=worker))
    assert done == PLANNED > 6
    assert worker.asked == 1 + done, "the worker joined and trained, and was not asked again"
    assert told.endswith("this site's own policy does not allow it (rule: privacy)")
    assert "of 9.60 (delta 1e-05)" in caplog.text


def test_neither_a_restart_nor_a_new_app_version_is_a_new_budget(linked):
    done = 0
    for app in ("a", "b", "c"):
        link = linked(app=app * 64)
        for number in range(2):
            assert not link.answer(order(round=number + 1), _run(app * 64), NODE).has_error()
            done += 1
    left, _ = _rounds(linked(app="d" * 64))
    assert done + left == PLANNED
    assert _rounds(linked(settings=SETTINGS.replace("=12", "=12.01")))[0] == 0


def test_more_epochs_cost_as_many_rounds(linked):
    assert _rounds(linked(worker=PrivateWorker(EPOCH.times(2))), epochs=2)[0] == PLANNED // 2


def test_baselines_and_other_runs_count(linked):
    link = linked()
    assert not link.answer(order(model="north"), OURS, NODE).has_error()
    assert _rounds(link)[0] == PLANNED - 1


def test_a_training_that_failed_after_it_began_counts(linked, tmp_path):
    class Dying(PrivateWorker):
        def answer(self, deadline):
            if '"train"' in self.packet["instruction"]:
                return {"failure": {"reason": "exception"}}
            return super().answer(deadline)

    link = linked(worker=Dying())
    assert link.answer(order(), OURS, NODE).has_error()
    assert PrivacyLedger.look(tmp_path / FILE).training(1e-5) == epsilon({(0.1, 1.1): 10}, 1e-5)
    assert _rounds(linked())[0] == PLANNED - 1


@pytest.mark.parametrize(
    ("rule", "rounds"),
    [
        (PrivacyRule(epsilon=6.0), lambda n: 0 < n < PLANNED),
        (PrivacyRule(epsilon=20.0), lambda n: n == PLANNED),
        (PrivacyRule(delta=1e-9), lambda n: 0 <= n < PLANNED),
        (PrivacyRule(delta=0.01), lambda n: n == PLANNED),
        (PrivacyRule(), lambda n: n == PLANNED),
    ],
)
def test_the_sites_policy_lowers_the_cap_and_never_raises_it(linked, rule, rounds):
    assert rounds(_rounds(linked(rule=rule))[0])


def test_a_policy_that_asks_for_privacy_refuses_an_app_without_it(linked):
    link = linked(settings="", rule=PrivacyRule(epsilon=3.0))
    assert "(rule: privacy)" in str(refusal(link, order())[1])
    assert "(rule: privacy)" in str(refusal(link, order("evaluate", sets=("test",)))[1])


def test_training_without_privacy_is_told_from_then_on(linked, tmp_path):
    assert not linked().answer(order(), OURS, NODE).has_error()
    plain = linked(settings="", app="b" * 64)
    assert not plain.answer(order(), _run("b" * 64), NODE).has_error()
    assert PrivacyLedger.look(tmp_path / FILE).plain
    answer = linked().answer(order(round=2), OURS, NODE)
    assert replies.outcome_in(answer.content, (), SERVER).privacy.plain


@pytest.mark.parametrize(
    "real",
    [replace(EPOCH, steps=11), replace(EPOCH, noise=1.0), replace(EPOCH, sample_rate=0.2)],
)
def test_an_update_that_cost_more_than_projected_is_withheld(linked, real):
    failure = refusal(linked(worker=PrivateWorker(real)), order())[1]
    assert (failure.reason, failure.type) == (
        "withheld", "an update that cost more than was projected",
    )  # fmt: skip


def test_an_update_without_its_cost_is_withheld(linked):
    worker = PrivateWorker()
    link = linked(worker=worker)
    worker.answer = lambda _: {"examples": SIZES, "evaluations": {}, "update": True}
    assert refusal(link, order())[1].reason == "withheld"


def test_a_worker_with_less_noise_than_agreed_does_not_join(linked):
    with pytest.raises(AssertionError):
        linked(settings=SETTINGS.replace("noise=1.1", "noise=1.2"))


def test_less_than_projected_leaves_more_rounds(linked):
    assert _rounds(linked(worker=PrivateWorker(replace(EPOCH, steps=5))))[0] > PLANNED


def test_the_server_is_told_what_was_spent_and_for_what(linked):
    link = linked()
    for number in (1, 2):
        answer = link.answer(order(round=number), OURS, NODE)
        outcome = replies.outcome_in(answer.content, (), SERVER)
        assert outcome.spending == EPOCH
        assert outcome.privacy.training == epsilon({(0.1, 1.1): 10 * number}, 1e-5)
        assert (outcome.privacy.evaluations, outcome.privacy.delta) == (0.0, 1e-5)


def test_without_privacy_a_worker_says_nothing_of_it(linked):
    link = linked(settings="")
    outcome = replies.outcome_in(link.answer(order(), OURS, NODE).content, (), SERVER)
    assert (outcome.spending, outcome.privacy) == (None, None)


def test_of_tests_noised_counts_leave_and_nothing_else_four_times(linked):
    link = linked()
    for number in range(4):
        answer = link.answer(order("evaluate", round=number, sets=("val", "test")), OURS, NODE)
        found = replies.outcome_in(answer.content, ("val",), SERVER).evaluations["val"]
        assert (found.tables, found.loss, found.metrics, found.noise) == ({}, None, {}, 0.0)
        outcome = replies.outcome_in(answer.content, ("test",), SERVER)
        test = outcome.evaluations["test"]
        assert set(test.tables) == {"confusion"}
        assert (test.loss, test.metrics, test.noise) == (None, {}, pytest.approx(0.6))
        assert outcome.privacy.evaluations == pytest.approx(0.6 * (number + 1))
    again = order("evaluate", round=9, sets=("test",))
    assert "(rule: privacy)" in str(refusal(linked(app="b" * 64), again, _run("b" * 64))[1])
    assert not link.answer(order("evaluate", round=9, sets=("val",)), OURS, NODE).has_error()


def test_the_loss_on_the_training_set_does_not_leave(linked):
    worker = PrivateWorker()
    link = linked(worker=worker)
    most = {"train": 9, "val": 9}
    rules = Rules(evaluations_per_app=most, evaluations_in_all=most)
    link.guard = replace(link.guard, rules=rules)
    assert "(rule: privacy)" in str(refusal(link, order(sets=("train",)))[1])
    assert worker.asked == 1


def test_with_privacy_no_survey_and_no_warning_about_a_set_leaves(linked):
    worker = PrivateWorker()
    link = linked(worker=worker)
    tell = worker.answer
    codes = {"single-label": "test", "unchanged": ""}
    warnings = [{"code": code, "set": of, "name": ""} for code, of in codes.items()]
    survey = {"tables": {"labels.train": [[7, 9]]}}
    worker.answer = lambda deadline: tell(deadline) | {"warnings": warnings, "survey": survey}
    answer = link.answer(order("join", survey=True), OURS, NODE)
    outcome = replies.outcome_in(answer.content, (), replace(SERVER, survey=True))
    assert outcome.survey is None
    assert [one.code for one in outcome.warnings] == ["unchanged"]
    assert '"survey": false' in worker.packet["instruction"]


def test_a_worker_that_says_that_its_counts_have_noise_is_not_believed(linked):
    worker = PrivateWorker()
    link = linked(settings="", worker=worker)
    said = {**EVALUATED, "tables": {"confusion": [[1, 0], [0, 0]]}, "noise": 3.0}
    worker.answer = lambda _: {"examples": SIZES, "evaluations": {"test": said}}
    answer = link.answer(order("evaluate", sets=("test",)), OURS, NODE)
    found = replies.outcome_in(answer.content, ("test",), SERVER).evaluations["test"]
    assert found.noise is None
    assert "confusion" in found.withheld, "one patient is below the minimum"


def test_what_cannot_be_written_down_is_not_done(linked, monkeypatch):
    worker = PrivateWorker()
    link = linked(worker=worker)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("federator.runtime.link.privacy.ledger.lines.append", full)
    assert "cannot be written down (No space left" in str(refusal(link, order())[1])
    assert worker.asked == 1
