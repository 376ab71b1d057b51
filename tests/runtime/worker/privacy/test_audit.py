"""An audit by canaries in one run: less leaks from private training than its epsilon says."""

import numpy as np
import pytest

from benchmarks.privacy import audit

CANARIES, SEED, RUNS = 600, 5, 40


@pytest.fixture(autouse=True)
def path(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "app")  # and take it out again


@pytest.mark.parametrize("claim", [0.3, 1.0])
def test_the_audited_epsilon_is_below_the_claimed_one(tmp_path, claim):
    private = audit.private(claim, CANARIES, SEED)
    found = audit.train(tmp_path, CANARIES, private, SEED)
    assert found.claim == pytest.approx(claim, rel=1e-6)
    assert found.bound <= found.claim


def test_an_audit_finds_that_the_noise_was_taken_out(tmp_path):
    private = audit.private(1.0, CANARIES, SEED)
    with audit.without_noise():
        found = audit.train(tmp_path, CANARIES, private, SEED)
    assert found.claim == pytest.approx(1.0, rel=1e-6)
    assert found.bound > 1.5 * found.claim


def test_an_audit_s_bound_is_that_of_its_formula():
    """Without delta r right guesses of r exclude epsilon below logit(doubt^(1/r))."""
    each = 0.05 ** (1 / 100)
    expected = np.log(each / (1 - each))
    assert audit.lower_bound(1000, 100, 100, 0.0, 0.05) == pytest.approx(expected, rel=1e-6)
    assert audit.lower_bound(1000, 100, 100, 1e-5, 0.05) < expected
    assert audit.lower_bound(1000, 100, 55, 0.0, 0.05) == 0


def test_an_audit_of_randomised_response_is_not_above_its_epsilon():
    """Which tells each coin rightly with a chance of e^epsilon / (1 + e^epsilon), and no more."""
    rng, epsilon = np.random.default_rng(0), 1.0
    above = 0
    for _ in range(RUNS):
        inside = rng.random(400) < 0.5
        told = inside ^ (rng.random(400) < 1 / (1 + np.exp(epsilon)))
        scores = told + 0.01 * rng.random(400)
        above += audit.audited(scores, inside, epsilon).bound > epsilon
    assert above <= RUNS * audit.DOUBT
