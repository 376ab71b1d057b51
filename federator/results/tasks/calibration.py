"""Calibration of scores: whether a label is as common as its scores say, from binned scores."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from federator.common import figures
from federator.results.drawing import plots
from federator.results.drawing.plots import Chart, Point, Series
from federator.results.tasks.base import Shown

_GROUPS = 8  # of neighbouring bins: a share of few examples tells little
_STEPS = 50  # of Newton's method, which needs fewer than 10 where the line exists
_STEEPEST = 1e3  # a slope beyond this: the groups do not overlap, and no line exists


class Calibration(NamedTuple):
    """How scores compare with how common the label is.

    Attributes:
        points: of each group with examples: its mean score, the share that has the label, how many.
        error: the expected calibration error; right to half a bin's width.
        slope: of the line; 1 where scores are neither too extreme (below 1) nor too cautious.
        intercept: of the line; 0 where slope is 1 and scores are not too high or low on the whole.
    """

    points: list[tuple[float, float, int]]
    error: float
    slope: float | None
    intercept: float | None


def calibration(scores: Sequence[Sequence[float]] | None) -> Calibration | None:
    """Measure calibration in a histogram of scores; None where it has no example.

    Expected calibration error: the mean over the examples of |share with the label - mean score|
    by group (Naeini et al., AAAI 2015), a bin's scores taken as its middle. There are at most eight
    groups of equal width. The line
    logit P(label) = intercept + slope x logit(score) is fitted by maximum likelihood (Cox,
    Biometrika 1958;45:562; Van Calster et al., J. Clin. Epidemiol. 2016;74:167); None where one
    group is absent or the groups do not overlap.

    Args:
        scores: (2, bins): of the examples without the label, and of those with it, over bins of
            equal width from 0 to 1.
    """
    if scores is None:
        return None
    without, having = np.asarray(scores, dtype=float)
    total = without + having
    if not total.sum():
        return None
    middle = (np.arange(len(total)) + 0.5) / len(total)
    filled = total > 0
    intercept, slope = _line(middle[filled], having[filled], total[filled]) or (None, None)
    groups = np.arange(len(total)) * min(_GROUPS, len(total)) // len(total)
    examples, scored, labelled = (
        np.bincount(groups, each) for each in (total, total * middle, having)
    )
    points = [
        (float(x / n), float(y / n), int(n))
        for x, y, n in zip(scored, labelled, examples, strict=True)
        if n
    ]
    error = sum(n * abs(y - x) for x, y, n in points) / float(total.sum())
    return Calibration(points, error, slope, intercept)


def chart(title: str, table: str, shown: Mapping[str, Shown]) -> Chart | None:
    """Draw the calibration of each model's scores in a table; None where there are none."""
    lines = []
    for name, each in shown.items():
        if (found := calibration(each.tables.get(table))) is not None:
            slope = "" if found.slope is None else f", slope {found.slope:.2f}"
            label = f"{name}, ECE {figures.number(found.error)}{slope}"
            points = [
                Point(x, y, f"score {x:.2f}: {y:.3f} have the label (n = {n})")
                for x, y, n in found.points
            ]
            lines.append(Series(label, each.site, points, each.dashed))
    if not lines:
        return None
    ends = Series("as scored", None, [Point(0.0, 0.0), Point(1.0, 1.0)], dashed=True)
    return plots.chart(title, "Score", [*lines, ends], (0.0, 1.0), plots.SQUARE)


def _line(
    middle: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    having: "np.ndarray[tuple[int], np.dtype[np.float64]]",
    total: "np.ndarray[tuple[int], np.dtype[np.float64]]",
) -> tuple[float, float] | None:
    """Fit the logistic line through binned scores by Newton's method; None where there is none."""
    if not 0 < having.sum() < total.sum() or len(middle) < 2:
        return None
    design = np.stack([np.ones_like(middle), np.log(middle / (1 - middle))])
    line = np.array([0.0, 1.0])
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(line @ design, -500, 500)))
        curvature = (design * total * expected * (1 - expected)) @ design.T
        if np.linalg.cond(curvature) > 1 / np.finfo(float).eps:
            return None
        step = np.linalg.solve(curvature, design @ (having - total * expected))
        line = line + step
        if np.abs(line).max() > _STEEPEST:
            return None
        if np.abs(step).max() < 1e-10:
            return float(line[0]), float(line[1])
    return None
