"""One of five sites poisons: defences keep the accuracy, and the site is named by round 2."""

import pytest

from benchmarks.poisoning import (
    ATTACKER,
    ATTACKS,
    BY_ROUND,
    DEFENCES,
    POINTS,
    alarms,
    deal,
    run,
)

ROUNDS, SEED = 8, 0
AGAINST = ("norm_bound: 1.5", "FedTrimmedAvg", "MultiKrum")

pytestmark = pytest.mark.usefixtures("in_a_run")


@pytest.fixture(scope="module")
def data():
    return deal(SEED, skewed=False)


@pytest.fixture(scope="module")
def clean(data):
    return run(data, "none", DEFENCES["none (FedAvg)"], ROUNDS, SEED).accuracy


@pytest.mark.parametrize("attack", ["sign flip", "label flip", "backdoor"])
def test_a_defence_keeps_the_accuracy_and_the_attacker_is_named(data, clean, attack):
    kept = {}
    for name in ("none (FedAvg)", *AGAINST):
        found = run(data, attack, DEFENCES[name], ROUNDS, SEED)
        kept[name] = found.accuracy
        print(f"{attack}, {name}: {100 * found.accuracy:.1f} % ({100 * clean:.1f} clean), "
              f"backdoor {100 * found.backdoor:.0f} %")  # fmt: skip
        assert found.since is not None and found.since <= BY_ROUND, name
        assert not found.false, found.named
    assert max(kept[name] for name in AGAINST) >= clean - POINTS / 100
    if attack == "sign flip":
        assert kept["none (FedAvg)"] < clean - 0.2, "without a defence the model is lost"


@pytest.mark.parametrize(("skewed", "most"), [(False, 0), (True, 1)])
def test_at_most_one_in_a_hundred_clean_rounds_names_a_site(skewed, most):
    """Of unequal classes none with one thread of torch's, and one with two."""
    false, rounds = alarms(100, skewed)
    assert rounds == 100 and false <= most


def test_the_benchmark_knows_every_attack():
    assert ATTACKS[0] == "none" and ATTACKER in deal(SEED, skewed=True).sites
