"""How the federation's model differs between sites: the worst, the spread, whether by chance.

A mean over all sites can hide one at which the model fails. For each chief figure of the task:
the site where it is worst, that where it is best, and Cochran's test of homogeneity.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, pi, sqrt

from federator.results.history import Journal
from federator.results.tasks.base import Figure
from federator.results.tasks.intervals import Z
from federator.runtime.protocol.instructions import FEDERATION

_LEAST_WIDTH = 1e-9  # of an interval: of a narrower one no error follows


@dataclass(frozen=True)
class Homogeneity:
    """Whether values differ by more than chance.

    Attributes:
        q: Cochran's Q.
        sites: how many values there are; Q has one degree of freedom less.
        p: the probability of a Q at least as large, if all were samples of one value.
        share: I², the share of the spread that is more than chance, 0 to 1.
    """

    q: float
    sites: int
    p: float
    share: float


@dataclass(frozen=True)
class Difference:
    """A figure of one model over the sites' own test sets.

    Attributes:
        title: the figure's.
        worst: the site where it is worst, and its figure there.
        best: where it is best.
        spread: the distance between both.
        test: of homogeneity; None where fewer than two sites have an interval.
    """

    title: str
    worst: tuple[str, Figure]
    best: tuple[str, Figure]
    spread: float
    test: Homogeneity | None


def differences(journal: Journal) -> list[Difference]:
    """Compare the sites' test figures of the federation's model; empty for fewer than two sites."""
    tested = journal.tests.get(FEDERATION)
    if tested is None:
        return []
    at_sites = {
        site: journal.view.figures(result.tables, result.limits)
        for site, result in tested.sites.items()
        if result.examples
    }
    found = []
    for name in journal.view.headline:
        column = journal.view.columns[name]
        known = {
            site: figures[name]
            for site, figures in at_sites.items()
            if figures[name].value is not None
        }
        if len(known) < 2 or not column.better:
            continue
        ranked = sorted(known, key=lambda site: known[site].value or 0.0)
        low, high = (ranked[0], known[ranked[0]]), (ranked[-1], known[ranked[-1]])
        worst, best = (low, high) if column.better == "higher" else (high, low)
        spread = (high[1].value or 0.0) - (low[1].value or 0.0)
        test = homogeneity(list(known.values()))
        found.append(Difference(column.title, worst, best, spread, test))
    return found


def homogeneity(figures: Sequence[Figure]) -> Homogeneity | None:
    """Test whether figures of independent sets differ by more than chance.

    Q = sum of w (x - mean)², where the mean is weighted by w = 1 / standard error² (Cochran,
    Biometrics 1954;10:101); it is compared with chi-square of k - 1 degrees of freedom.
    I² = (Q - (k - 1)) / Q (Higgins and Thompson, Statistics in Medicine 2002;21:1539). The standard
    error is taken from the width of the 95 % interval, which for few examples is a rough measure.

    Args:
        figures: of each set; those without an interval are left out.
    """
    known = [
        (each.value, (each.high - each.low) / (2 * Z))
        for each in figures
        if each.value is not None
        and each.low is not None
        and each.high is not None
        and each.high - each.low > _LEAST_WIDTH
    ]
    if len(known) < 2:
        return None
    weights = [1 / error**2 for _, error in known]
    mean = sum(w * value for w, (value, _) in zip(weights, known, strict=True)) / sum(weights)
    q = sum(w * (value - mean) ** 2 for w, (value, _) in zip(weights, known, strict=True))
    freedom = len(known) - 1
    share = max(0.0, (q - freedom) / q) if q else 0.0
    return Homogeneity(q, len(known), chi_square_tail(q, freedom), share)


def chi_square_tail(x: float, freedom: int) -> float:
    """Return the probability that chi-square of some degrees of freedom is above ``x``.

    By the finite sums for whole degrees of freedom (Abramowitz and Stegun, Handbook of
    Mathematical Functions, 26.4.4 and 26.4.5).
    """
    if x <= 0:
        return 1.0
    half = x / 2
    if freedom % 2:
        tail, term = erfc(sqrt(half)), exp(-half) * sqrt(2 * x / pi)
        powers = range(3, freedom + 1, 2)
    else:
        tail = term = exp(-half)
        term *= half
        powers = range(4, freedom + 1, 2)
    for next_one in powers:
        tail += term
        term *= x / next_one
    return min(1.0, tail)
