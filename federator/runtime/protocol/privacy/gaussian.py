"""The exact cost of Gaussian noise added again and again, without sampling.

T releases with noise of standard deviation sigma times the sensitivity are as private as one with
sigma / sqrt(T): mu-GDP with mu = sqrt(T) / sigma (Dong, Roth and Su 2022, corollary 3.3,
https://arxiv.org/abs/1905.02383). Its delta for an epsilon is exact, and not a bound: Balle and
Wang 2018, theorem 8, https://arxiv.org/abs/1805.06530.
"""

import math

_STEPS = 200  # halvings of an interval: more than a float has digits


def delta_of(epsilon: float, noise: float, releases: int) -> float:
    """Return delta.

    Args:
        epsilon: at least 0.
        noise: standard deviation of a release's noise, in units of the sensitivity; above 0.
        releases: how many.
    """
    if releases == 0:
        return 0.0
    mu = math.sqrt(releases) / noise
    near, far = mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu
    return max(0.0, math.exp(_log_below(near)) - math.exp(epsilon + _log_below(far)))


def epsilon_of(delta: float, noise: float, releases: int) -> float:
    """Return the smallest epsilon for a delta.

    Args:
        delta: above 0 and below 1.
        noise: standard deviation of a release's noise, in units of the sensitivity; above 0.
        releases: how many.
    """
    low, high = 0.0, 1.0
    if delta_of(low, noise, releases) <= delta:
        return 0.0
    while delta_of(high, noise, releases) > delta:
        high *= 2
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if delta_of(middle, noise, releases) > delta:
            low = middle
        else:
            high = middle
    return high


def _log_below(value: float) -> float:
    """Return the logarithm of the standard normal distribution function."""
    if value > -30:
        return math.log(math.erfc(-value / math.sqrt(2)) / 2)
    # Abramowitz and Stegun 26.2.12, of which two terms are exact to 1e-5 there
    tail = 1 - 1 / value**2 + 3 / value**4
    return -(value**2) / 2 - math.log(-value * math.sqrt(2 * math.pi)) + math.log(tail)
