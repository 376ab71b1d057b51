"""Epsilon agrees with other libraries', is that of the definition, and adds up."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, logsumexp

from federator.runtime.protocol.privacy.accountant import ORDERS, divergences, epsilon

# sample rate, noise, steps, delta; epsilon by dp-accounting 0.6.0, installed alone since it wants
# attrs<24: RdpAccountant and PLDAccountant of PoissonSampledDpEvent(q, GaussianDpEvent(sigma)).
# Where its RDP logs that a series has not converged, it leaves those orders out: the third case.
REFERENCE = [
    (0.08, 1.1, 390, 1e-5, 10.2434, 9.3501),
    (0.01, 1.0, 1000, 1e-5, 2.1014, 1.8282),
    (0.1, 0.7, 50, 1e-5, 12.2876, 10.7065),
    (0.004, 4.0, 10000, 1e-6, 0.4398, 0.4061),
    (0.3, 10.0, 300, 1e-5, 2.2852, 2.1012),
    (1.0, 4.0, 20, 1e-5, 5.3777, 4.9833),
    (0.05, 2.0, 600, 1e-4, 2.6505, 2.3835),
]


@pytest.mark.parametrize(("rate", "noise", "steps", "delta", "rdp", "pld"), REFERENCE)
def test_epsilon_is_dp_accountings_within_one_percent(rate, noise, steps, delta, rdp, pld):
    found = epsilon({(rate, noise): steps}, delta)
    assert found == pytest.approx(rdp, rel=0.01)
    assert pld <= found <= 1.2 * pld, "an upper bound, and no useless one"


@pytest.mark.parametrize(("rate", "noise", "steps", "delta"), [one[:4] for one in REFERENCE])
def test_epsilon_is_opacus_within_one_percent(rate, noise, steps, delta):
    rdp = pytest.importorskip("opacus.accountants.analysis.rdp")
    orders = [order for order in ORDERS if order < 64]
    spent = rdp.compute_rdp(q=rate, noise_multiplier=noise, steps=steps, orders=orders)
    found, _ = rdp.get_privacy_spent(orders=orders, rdp=spent, delta=delta)
    assert epsilon({(rate, noise): steps}, delta) == pytest.approx(found, rel=0.01)


def _of_whole_orders(rate, noise, order):
    """Return the divergence by the binomial series (Mironov, Talwar, Zhang 2019, section 3.3)."""
    k = np.arange(order + 1)
    chosen = gammaln(order + 1) - gammaln(k + 1) - gammaln(order - k + 1)
    terms = chosen + k * np.log(rate) + (order - k) * np.log1p(-rate) + (k**2 - k) / (2 * noise**2)
    return logsumexp(terms) / (order - 1)


@pytest.mark.parametrize(("rate", "noise"), [(0.1, 0.7), (0.08, 1.1), (0.01, 0.5), (0.5, 0.3)])
def test_divergences_are_those_of_the_definition(rate, noise):
    for order, found in zip(ORDERS, divergences(rate, noise), strict=True):
        if order == int(order):
            assert found == pytest.approx(_of_whole_orders(rate, noise, int(order)), rel=1e-6)
        elif order < 4:
            area, _ = quad(
                lambda z, order=order: math.exp(-(z**2) / (2 * noise**2))
                * (1 - rate + rate * math.exp((2 * z - 1) / (2 * noise**2))) ** order
                / (noise * math.sqrt(2 * math.pi)),
                -12 * noise, order + 12 * noise, limit=2000, epsrel=1e-12, points=[0, order],
            )  # fmt: skip
            assert found == pytest.approx(math.log(area) / (order - 1), rel=1e-6)


def test_epsilon_rises_with_each_step_and_with_less_noise():
    few, many = (epsilon({(0.1, 1.0): steps}, 1e-5) for steps in (10, 20))
    assert 0 < few < many < epsilon({(0.1, 0.9): 20}, 1e-5) < epsilon({(0.2, 0.9): 20}, 1e-5)
    together = epsilon({(0.1, 1.0): 20, (0.3, 2.0): 5}, 1e-5)
    assert many < together < many + epsilon({(0.3, 2.0): 5}, 1e-5)


def test_nothing_costs_nothing_and_too_little_noise_has_no_bound():
    assert (
        epsilon({}, 1e-5) == epsilon({(0.1, 1.0): 0}, 1e-5) == epsilon({(0.0, 1.0): 9}, 1e-5) == 0
    )
    assert epsilon({(0.1, 0.05): 1}, 1e-5) == math.inf
    assert epsilon({(0.1, math.nan): 1}, 1e-5) == math.inf


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, math.nan])
def test_a_delta_that_is_none_is_refused(delta):
    with pytest.raises(ValueError, match="delta"):
        epsilon({(0.1, 1.0): 1}, delta)


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_sample_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="sample rate"):
        epsilon({(rate, 1.0): 1}, 1e-5)
