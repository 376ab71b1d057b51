"""95 % intervals of means, and of areas under ROC curves, from sums and binned scores."""

from collections.abc import Sequence
from math import exp, log, sqrt

import numpy as np

from federator.results.tasks.base import Figure

Z = 1.959963985
"""The 97.5 % quantile of the normal distribution."""
# The 97.5 % quantiles of Student's t for 1 to 10 degrees of freedom.
_STUDENT = (
    12.706204736, 4.302652730, 3.182446305, 2.776445105, 2.570581836,
    2.446911851, 2.364624252, 2.306004135, 2.262157163, 2.228138852,
)  # fmt: skip
_ROUNDING = 1e-12  # relative: what rounding alone may leave of a difference of two sums


def student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, right to 1e-5.

    Beyond ten degrees of freedom by its expansion around the normal quantile (Abramowitz and
    Stegun, Handbook of Mathematical Functions, 26.7.5).
    """
    if freedom <= len(_STUDENT):
        return _STUDENT[freedom - 1]
    terms = (
        (Z**3 + Z) / 4,
        (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96,
        (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384,
        (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160,
    )
    return Z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))


def deviation(n: int, total: float, squared: float) -> float | None:
    """Return the standard deviation of n values (with n - 1 below); None of fewer than two.

    Args:
        n: how many there are.
        total: their sum.
        squared: the sum of their squares.
    """
    if n < 2:
        return None
    around = squared - total**2 / n
    return sqrt(around / (n - 1)) if around > _ROUNDING * squared else 0.0


def of_mean(n: int, total: float, squared: float) -> Figure:
    """Return the mean of n values with the interval of Student's t (from two values on).

    Args:
        n: how many there are.
        total: their sum.
        squared: the sum of their squares.
    """
    if not n:
        return Figure(None)
    mean, spread = total / n, deviation(n, total, squared)
    if spread is None:
        return Figure(mean)
    within = student(n - 1) * spread / sqrt(n)
    return Figure(mean, mean - within, mean + within)


def of_area(scores: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Return the interval of the area under the ROC curve of binned scores.

    The variance is that of DeLong et al., Biometrics 1988;44:837, which takes scores of one bin as
    ties; the interval is symmetric on the logit's scale (Pepe, The Statistical Evaluation of
    Medical Tests, 2003, 5.2), so that it stays in 0..1. None where a group has fewer than two
    examples, or the area is 0 or 1, whose variance is not known.

    Args:
        scores: (2, bins): of the examples without the label, and of those with it.
    """
    without, having = np.asarray(scores, dtype=float)
    lacking, present = without.sum(), having.sum()
    if lacking < 2 or present < 2:
        return None
    # Of each example, the share of the other group that has the lower (or the higher) score.
    below = (np.cumsum(without) - without / 2) / lacking
    above = 1 - (np.cumsum(having) - having / 2) / present
    area = float(having @ below / present)
    if not 0 < area < 1:
        return None
    spread = having @ (below - area) ** 2 / (present - 1) / present
    spread += without @ (above - area) ** 2 / (lacking - 1) / lacking
    middle, within = log(area / (1 - area)), Z * sqrt(float(spread)) / (area * (1 - area))
    return _expit(middle - within), _expit(middle + within)


def _expit(value: float) -> float:
    return 1 / (1 + exp(-value)) if value > -700 else 0.0
