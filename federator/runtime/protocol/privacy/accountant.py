"""What training with noise costs: Rényi differential privacy, composed over steps (epsilon, delta).

Of one step of the subsampled Gaussian mechanism with sample rate q and noise sigma (DP-SGD: each
record is in a batch with chance q; gradients are clipped to C, and get noise of deviation
``sigma * C``), the divergence of order a is ``log(A(a)) / (a - 1)``, where A(a) is the mean of
``(1 - q + q * exp((2 z - 1) / (2 sigma²)))^a`` over z of N(0, sigma²) (Mironov, Talwar, Zhang 2019,
https://arxiv.org/abs/1908.10530, section 3.3). Divergences of one order add up over steps, rounds
and runs (Mironov 2017, https://arxiv.org/abs/1702.07476, proposition 1). From their sum follows
epsilon for a delta (Canonne, Kamath, Steinke 2020, https://arxiv.org/abs/2004.00010, proposition
12), for the best of the orders. Neighbours are data sets that differ by one record, which one of
them has and the other has not.
"""

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LOW = [1 + k / 10 for k in range(1, 100)]
ORDERS: Floats = np.array([*_LOW, *range(11, 64), 72, 96, 128, 192, 256, 512, 1024], np.float64)
"""The orders among which the best is taken."""
LEAST_NOISE = 0.1
"""Below it there is no bound worth the name (epsilon is beyond 100 after one full batch)."""
_WIDTH = 12.0  # deviations; what lies beyond has a share below 1e-31
# The integrand is analytic in a strip of pi * sigma² around the real line: so far apart, the points
# of the trapezoidal rule give it to the precision of a double (Trefethen, Weideman 2014).
_POINTS = 10.0

Step = tuple[float, float]
"""A step's sample rate, and the noise as a multiple of the clipping norm."""


def epsilon(steps: Mapping[Step, int], delta: float) -> float:
    """Return the epsilon of steps taken together, for a delta in 0..1; infinite without a bound.

    Args:
        steps: how many there were, by their sample rate and noise.
        delta: for which epsilon holds.

    Raises:
        ValueError: for a sample rate outside 0..1, or a delta not between 0 and 1.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta {delta}")
    total = np.zeros(len(ORDERS))
    for (rate, noise), count in steps.items():
        if count:
            total += count * divergences(rate, noise)
    if not total.any():
        return 0.0
    rest = np.log1p(-1 / ORDERS) - (np.log(delta) + np.log(ORDERS)) / (ORDERS - 1)
    return max(0.0, float(np.min(total + rest)))


@lru_cache(maxsize=1024)
def divergences(rate: float, noise: float) -> Floats:
    """Return the divergence of one step by order, shape (:data:`ORDERS`,).

    Raises:
        ValueError: for a sample rate outside 0..1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"sample rate {rate}")
    if rate == 0:
        return np.zeros(len(ORDERS))
    if not noise >= LEAST_NOISE:
        return np.full(len(ORDERS), np.inf)
    if rate == 1:
        return ORDERS / (2 * noise**2)
    return np.array([_log_moment(rate, noise, order) / (order - 1) for order in ORDERS])


def _log_moment(rate: float, noise: float, order: float) -> float:
    """Return log(A) of an order by the trapezoidal rule."""
    step = min(noise, noise**2) / _POINTS
    z = np.arange(-_WIDTH * noise, order + _WIDTH * noise, step)
    ratio = np.logaddexp(np.log1p(-rate), np.log(rate) + (2 * z - 1) / (2 * noise**2))
    exponent = order * ratio - z**2 / (2 * noise**2)
    top = exponent.max()
    total = np.log(np.sum(np.exp(exponent - top))) + top
    return max(0.0, float(total + np.log(step / (noise * np.sqrt(2 * np.pi)))))
