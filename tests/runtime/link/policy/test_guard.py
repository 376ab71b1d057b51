"""What a site's policy does not allow is refused, by the name of the rule, also after a restart."""

import json

import pytest
from fakes.coordinator import KEYS, NODE, OURS, order, refusal

from federator.errors import InputError
from federator.runtime.doctor import command
from federator.runtime.link.link import Link
from federator.runtime.link.policy.guard import PolicyGuard
from federator.runtime.link.policy.ledger import ALL, Ledger
from federator.runtime.link.policy.rules import Rules
from federator.runtime.protocol.disclosure import Policy

pytestmark = pytest.mark.usefixtures("in_a_run")


@pytest.fixture
def linked(worker):
    """Return a function that makes a link with a policy of these rules."""

    def made(ledger=None, own_strategy=False, **rules):
        guard = PolicyGuard(Rules(**rules), ledger or Ledger(), own_strategy)
        return Link("north", "a" * 64, KEYS, Policy(2), True, worker, guard=guard)

    return made


@pytest.mark.parametrize(
    ("rules", "asked", "rule"),
    [
        ({"rounds_per_app": 0}, {}, "rounds_per_app"),
        ({"rounds_in_all": 0}, {}, "rounds_in_all"),
        ({"evaluations_per_app": {"val": 0}}, {"sets": ("val",)}, "evaluations_per_app"),
        ({}, {"kind": "evaluate", "sets": ("train",)}, "evaluations_per_app"),
        ({"baselines": False}, {"model": "north"}, "baselines"),
        ({"largest_model_mb": 0}, {}, "largest_model_mb"),
    ],
)
def test_what_a_rule_forbids_is_refused_by_its_name(linked, worker, rules, asked, rule):
    failure = refusal(linked(**rules), order(**asked))[1]
    assert str(failure) == (
        f"the site refused the instruction: this site's own policy does not allow it (rule: {rule})"
    )
    assert worker.asked == 0


def test_the_coordinator_is_told_the_rule_and_the_site_the_numbers(linked, caplog):
    link = linked(rounds_per_app=1)
    assert not link.answer(order(), OURS, NODE).has_error()
    assert "1 of 1" not in str(refusal(link, order(epochs=2))[1])
    assert "policy.yaml, rounds_per_app: rounds: 1 of 1 are used" in caplog.text


def test_out_of_its_hours_a_site_follows_nothing(linked, monkeypatch):
    monkeypatch.setattr(Rules, "is_open", lambda *_: False)
    assert "(rule: hours_utc)" in str(refusal(linked(), order())[1])


def test_a_strategy_with_code_of_its_own_may_be_refused(linked):
    assert "(rule: own_strategies)" in str(
        refusal(linked(own_strategy=True, own_strategies=False), order())[1]
    )
    assert not linked(own_strategy=True).answer(order(), OURS, NODE).has_error()


def test_a_restart_or_another_version_of_the_app_is_no_new_budget(linked, tmp_path):
    file = tmp_path / "site.asked"
    for epochs in (1, 2):
        link = linked(Ledger(file), rounds_per_app=2, rounds_in_all=3)
        assert not link.answer(order(epochs=epochs), OURS, NODE).has_error()
    assert "rounds_per_app" in str(refusal(linked(Ledger(file), rounds_per_app=2), order())[1])
    Ledger(file).add("b" * 64, ["rounds"])  # another version
    link = linked(Ledger(file), rounds_in_all=3)
    assert "rounds_in_all" in str(refusal(link, order(epochs=3))[1])
    assert Ledger(file).count(ALL, "rounds") == 3


def test_what_cannot_be_counted_is_not_done(linked, worker, tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir()
    link = linked(Ledger(folder / "site.asked"))
    (folder / "site.asked").unlink()
    folder.rmdir()
    assert "cannot be counted" in str(refusal(link, order())[1])
    assert worker.asked == 0


@pytest.mark.parametrize("content", ["", "[]", '{"all": {"rounds": -1}}', "{" * 5000, "\0"])
def test_an_account_that_cannot_be_read_is_no_empty_one(tmp_path, content):
    (tmp_path / "site.asked").write_text(content)
    with pytest.raises(InputError, match="is no account of what was asked"):
        Ledger(tmp_path / "site.asked")


def test_an_account_in_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(InputError, match="the folder of the site's key must be writable"):
        Ledger(tmp_path / "absent" / "site.asked")


def test_the_doctor_says_what_of_the_budget_is_used(tmp_path):
    (tmp_path / "site.asked").write_text(json.dumps({ALL: {"rounds": 7, "val": 9}}))
    (tmp_path / "policy.yaml").write_text("rounds_in_all: 50\n")
    finding = command._policy(tmp_path / "policy.yaml", tmp_path / "site.asked")
    assert finding.passed
    assert finding.what.endswith(
        "7 of 50 rounds, 9 of 1500 evaluations of val, 0 of 300 evaluations of test"
    )
    (tmp_path / "policy.yaml").write_text("\nround: 50\n")
    finding = command._policy(tmp_path / "policy.yaml", tmp_path / "absent")
    assert not finding.passed
    assert "policy.yaml: line 2: round is not a key of this file" in finding.what
