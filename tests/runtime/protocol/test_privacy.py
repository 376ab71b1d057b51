import pytest

from federator.runtime.protocol.disclosure import Policy, filter_outcome
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.protocol.privacy.spending import Spending

GOOD = {"epsilon": 8, "delta": 1e-5, "clip": 1.0, "noise": 1.1, "unit": "record"}
EXAMPLES = {"trainset": 90, "valset": 5, "testset": 5}


def test_settings_are_the_same_after_writing_and_reading():
    settings = PrivacySettings.of(GOOD)
    assert settings == PrivacySettings(8.0, 1e-5, 1.0, 1.1)
    assert settings.write() == "epsilon=8.0 delta=1e-05 clip=1.0 noise=1.1 unit=record"
    assert PrivacySettings.read(settings.write()) == settings == PrivacySettings.of(GOOD)
    assert PrivacySettings.of(settings.values()) == settings
    assert PrivacySettings.in_config({"privacy": settings.write()}) == settings
    assert PrivacySettings.in_config({"rounds": 3}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epsilon": 0}, "epsilon must be above 0"),
        ({"epsilon": 21}, "at most 20: more hides nothing"),
        ({"epsilon": float("inf")}, "epsilon must be a finite number"),
        ({"epsilon": True}, "epsilon must be a finite number"),
        ({"delta": 0}, "delta must be above 0"),
        ({"delta": 0.5}, "at most 0.01"),
        ({"noise": 0}, "without noise there is no guarantee"),
        ({"noise": 0.0}, "without noise there is no guarantee"),
        ({"noise": 0.1}, "noise must be at least 0.3"),
        ({"clip": 0}, "clip must be above 0"),
        ({"clip": float("nan")}, "clip must be a finite number"),
        ({"unit": "hospital"}, "unit must be record or patient"),
        ({"unit": []}, "unit must be record or patient"),
        ({"more": 1}, "nothing else"),
    ],
)
def test_conditions_that_give_no_guarantee_are_refused_in_words(change, words):
    with pytest.raises(ValueError, match=words):
        PrivacySettings.of({**GOOD, **change})


@pytest.mark.parametrize("found", [None, 3, [], {}, {"epsilon": 8}, {"epsilon": 8, "noise": 1}])
def test_epsilon_without_delta_is_refused(found):
    with pytest.raises(ValueError, match="must have clip, delta, epsilon, noise, unit"):
        PrivacySettings.of(found)


@pytest.mark.parametrize(
    "text",
    ["epsilon", "epsilon=8", "epsilon=8 8", GOOD.__repr__(), "epsilon=x delta=1 clip=1 noise=1"],
)
def test_another_text_is_refused(text):
    with pytest.raises(ValueError):
        PrivacySettings.read(text)


def test_delta_is_at_most_one_in_n():
    settings = PrivacySettings(8, 0.01, 1, 1.1)
    settings.require_units(100)
    with pytest.raises(ValueError, match="delta must be at most 1/101 here"):
        settings.require_units(101)


def test_a_spending_of_several_epochs_has_so_many_steps_more():
    epoch = Spending(0.08, 1.1, 13)
    assert epoch.times(30) == Spending(0.08, 1.1, 390)
    assert epoch.times(0).steps == 0


@pytest.mark.parametrize(
    "found",
    [
        3,
        {},
        {"sample_rate": 0.1, "noise": 1},
        {"sample_rate": 0, "noise": 1, "steps": 1},
        {"sample_rate": 1.1, "noise": 1, "steps": 1},
        {"sample_rate": float("nan"), "noise": 1, "steps": 1},
        {"sample_rate": 0.1, "noise": 0, "steps": 1},
        {"sample_rate": 0.1, "noise": float("inf"), "steps": 1},
        {"sample_rate": 0.1, "noise": 1, "steps": -1},
        {"sample_rate": 0.1, "noise": 1, "steps": 1.0},
        {"sample_rate": "0.1", "noise": 1, "steps": 1},
        {"sample_rate": True, "noise": 1, "steps": 1},
        {"sample_rate": 0.1, "noise": 1, "steps": 1, "epsilon": 1},
    ],
)
def test_a_worker_s_answer_that_is_no_spending_is_withheld(found):
    with pytest.raises(Failure, match="what a training costs"):
        filter_outcome({"examples": EXAMPLES, "spending": found}, (), Policy(Task("other", 1)))


def test_a_spending_reaches_the_link():
    said = {"sample_rate": 0.1, "noise": 1, "steps": 10}
    answer = {"examples": EXAMPLES, "spending": said}
    assert filter_outcome(answer, (), Policy(Task("other", 1))).spending == Spending(0.1, 1.0, 10)
