"""Clipping and noise of private training, measured on the real path."""

import os

import numpy as np
import pytest
from scipy import stats

from federator.runtime.worker.privacy import randomness

# A model of 120,000 parameters, whose loss does not depend on them.
WIDE = [
    ("nn.Linear(INPUTS, 8)", "nn.Linear(INPUTS, 20_000)"),
    ("nn.Linear(8, 2)", "nn.Linear(20_000, 2)"),
]
NO_GRADIENT = ("criterion(net(x), y).backward()", "(criterion(net(x), y) * 0).backward()")
ONE_STEP = [("N, BATCH, INPUTS, RATE = 96, 12, 4, 0.5", "N, BATCH, INPUTS, RATE = 96, 96, 4, 0.5")]
CLIP, NOISE, RATE, BATCH = 0.7, 1.3, 0.5, 96
PRIVACY = f"epsilon=8.0 delta=0.001 clip={CLIP} noise={NOISE} unit=record"


def change(update, first):
    return np.concatenate([(update[name] - first[name]).ravel() for name in sorted(first)])


def test_without_a_gradient_the_update_is_the_noise_that_was_asked_for(site, train):
    trainer = site(*WIDE, *ONE_STEP, NO_GRADIENT, privacy=PRIVACY)
    _, first, one = train(trainer)
    _, _, two = train(trainer)
    one, two = change(one, first), change(two, first)
    deviation = NOISE * CLIP * RATE / BATCH
    assert len(one) >= 1e5
    assert one.std() == pytest.approx(deviation, rel=0.02)
    assert two.std() == pytest.approx(deviation, rel=0.02)
    for noise in (one, two):  # the weights' last digit is some 1e-9: far below the noise
        assert stats.kstest(noise / deviation, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.02
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.02


@pytest.fixture
def quiet(monkeypatch):
    """Take the noise out."""
    monkeypatch.setattr("federator.runtime.worker.privacy.optimizer.normal", np.zeros)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("scale", ["1.0", "1e6"])
def test_one_record_moves_the_sum_by_twice_the_clipping_norm_at_most(site, train, scale):
    def sum_with(first_record):
        line = f"    x[0] = {first_record} if n == N else x[0]\n    y = (x."
        _, first, update = train(site(*ONE_STEP, ("    y = (x.", line), privacy=PRIVACY))
        return -change(update, first) * BATCH / RATE

    # A record of zeros has a gradient, too: only that of the last layer's bias.
    moved = np.linalg.norm(sum_with(f"x[0] * {scale}") - sum_with("0 * x[0]"))
    assert 0 < moved <= 2 * CLIP * (1 + 1e-4)


@pytest.mark.usefixtures("quiet")
def test_one_record_more_moves_the_sum_by_the_clipping_norm_at_most(site, train, monkeypatch):
    moved, records = [], list[int]()
    monkeypatch.setattr("federator.runtime.worker.privacy.loader.chosen", lambda *_: records)
    for label in (0, 1):  # of one, the gradient of so large a record is 0
        records[:] = range(96)
        large = f"if n == N:\n        x[7], y[7] = x[7] * 1e6, {label}\n"
        line = "    y = (x.sum(dim=1) > 0).long()\n"
        trainer = site(*ONE_STEP, (line, f"{line}    {large}"), privacy=PRIVACY)
        _, first, update = train(trainer)
        whole = change(update, first)
        records.remove(7)
        _, _, update = train(trainer)
        moved.append(np.linalg.norm(whole - change(update, first)) * BATCH / RATE)
    assert max(moved) == pytest.approx(CLIP, rel=1e-3)
    assert min(moved) < CLIP * (1 + 1e-3)


def test_random_numbers_have_the_distributions_that_they_should():
    numbers = randomness.normal(300_001)
    assert len(numbers) == 300_001
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    assert stats.kstest(randomness.uniform(100_000), "uniform").pvalue > 1e-3
    taken = [len(randomness.chosen(1000, 0.08)) for _ in range(300)]
    assert np.mean(taken) == pytest.approx(80, abs=4 * np.sqrt(80 * 0.92 / 300))
    assert np.var(taken) == pytest.approx(80 * 0.92, rel=0.4)
    assert randomness.chosen(5, 1.0) == [0, 1, 2, 3, 4]
    assert randomness.normal(0).shape == (0,)


def test_all_randomness_is_the_operating_system_s(site, train, monkeypatch):
    # With the operating system's bytes fixed, noise and batches are the same: there is no other.
    trainer = site()

    def trained():
        generator = np.random.default_rng(5)
        monkeypatch.setattr(os, "urandom", generator.bytes)
        _, first, update = train(trainer)
        return change(update, first)

    assert (trained() == trained()).all()
