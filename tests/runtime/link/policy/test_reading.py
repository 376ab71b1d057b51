"""policy.yaml is read strictly: each mistake with its line, and what to do about it."""

import re
from datetime import time

import pytest
from fixtures.paths import ROOT

from federator.errors import InputError
from federator.runtime.link.policy.reading import read
from federator.runtime.link.policy.rules import NAMES, PrivacyRule, Rules

WHOLE = """\
rounds_per_app: 200
rounds_in_all: 1000
evaluations_per_app: {val: 200, test: 20}
evaluations_in_all: {val: 800}
min_cell_count: 10
loss_digits: 2
metric_digits: 2
sum_digits: 4
bins: []
losses: [test]
sums: []
hours_utc: ["20:00-06:00", "12:00-13:00"]
baselines: false
own_strategies: false
survey: false
largest_model_mb: 500
privacy: {epsilon: 4, delta: 1e-6}
"""


@pytest.fixture
def policy(tmp_path):
    """Return a function that reads a policy with a text."""

    def reads(text):
        (tmp_path / "policy.yaml").write_text(text)
        return read(tmp_path / "policy.yaml")

    return reads


@pytest.mark.parametrize("text", ["", "# nothing but this\n"])
def test_without_a_rule_the_defaults_hold(policy, text):
    assert policy(text) == Rules() == read(None)


def test_every_rule_can_be_set(policy):
    rules = policy(WHOLE)
    assert rules.rounds_per_app == 200
    assert rules.evaluations_per_app == {"train": 0, "val": 200, "test": 20}
    assert rules.evaluations_in_all == {"train": 0, "val": 800, "test": 300}
    assert (rules.bins, rules.baselines, rules.largest_model_mb) == ((), False, 500)
    assert rules.privacy == PrivacyRule(4.0, 1e-6)
    assert all(f"{name}:" in WHOLE for name in NAMES)
    assert all(getattr(rules, name) != getattr(Rules(), name) for name in NAMES)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [(time(21), True), (time(3), True), (time(6), False), (time(12, 30), True), (time(13), False)],
)
def test_hours_may_pass_midnight(policy, now, is_open):
    assert policy(WHOLE).is_open(now) is is_open
    assert Rules().is_open(now)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("rounds_per_ap: 3", 1, "did you mean rounds_per_app?"),
        ("survey: true\nrounds_per_app: many", 2, "a whole number from 0 to 1000000"),
        ("rounds_per_app: -1", 1, "a whole number from 0"),
        ("loss_digits: 0", 1, "from 1 to 15"),
        ("baselines: 1", 1, "true or false"),
        ("hours_utc: at night", 1, '"20:00-06:00"'),
        ("hours_utc: 25:00-06:00", 1, '"20:00-06:00"'),
        ("\nevaluations_per_app:\n  validation: 5", 3, "the sets are train, val and test"),
        ("evaluations_per_app: 5", 1, "keys and values"),
        ("bins: tests", 1, "a list of sets"),
        ("bins: [tests]", 1, "a list of sets"),
        ("survey: true\nsurvey: false", 2, "stands here twice"),
        ("- survey", 1, "keys and values"),
        ("a: [", 2, "is not YAML"),
    ],
)
def test_a_mistake_is_told_with_its_line(policy, text, line, told):
    with pytest.raises(InputError) as caught:
        policy(text + "\n")
    assert any(one.where.line == line and told in str(one) for one in caught.value.problems), str(
        caught.value
    )


def test_every_mistake_is_told_at_once(policy):
    with pytest.raises(InputError) as caught:
        policy("survay: true\nloss_digits: 99\nbins: 3\n")
    assert [one.where.line for one in caught.value.problems] == [1, 2, 3]


def test_a_file_that_is_not_there_or_huge_is_told(policy, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(InputError, match="larger"):
        policy("#" * 70_000)


PAGE = (ROOT / "docs" / "site-operator.md").read_text()


def test_the_page_s_example_is_a_policy(policy):
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    rules = policy(example)
    assert (rules.min_cell_count, rules.bins, rules.own_strategies) == (10, (), False)


def test_the_page_lists_every_rule_with_its_default(policy):
    table = re.findall(r"^\| (`\w+`(?:, `\w+`)?) \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
    told = {}
    for names, defaults in table:
        keys = re.findall(r"\w+", names)
        values = [defaults] if set("{[") & set(defaults) else defaults.split(", ")
        told |= dict(zip(keys, values, strict=True))
    unset = {"hours_utc": "always", "losses": "by the task", "privacy": "none"}
    assert {key: told.pop(key) for key in unset} == unset
    text = "".join(f"{key}: {value.strip('`')}\n" for key, value in told.items())
    assert {*told, *unset} == set(NAMES)
    assert policy(text) == Rules()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("privacy: 4", "privacy must be keys and values"),
        ("privacy: {epsilon: 0}", "privacy: epsilon must be a number above 0, and at most 20"),
        ("privacy: {epsilon: .inf}", "privacy: epsilon must be a number above 0"),
        ("privacy: {delta: 1}", "privacy: delta must be a number above 0, and at most 0.01"),
        ("privacy: {noise: 1}", "privacy: noise is not a key of it"),
    ],
)
def test_a_privacy_rule_that_bounds_nothing_is_told(policy, text, told):
    with pytest.raises(InputError, match=told):
        policy(text)
