"""Figures of counts: the metrics of a confusion matrix, their intervals, ROC curves.

The metrics of a sum of matrices are those of the pooled sets, exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import NamedTuple

import numpy as np

from federator.results.tasks.intervals import Z
from federator.runtime.protocol.evaluation.rounding import Limits

Counts = Sequence[Sequence[float]]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Metrics:
    """The six numbers of a confusion matrix, each in 0..1, None where its denominator is 0.

    Formulas: Altman and Bland, BMJ 1994;308:1552 (sensitivity, specificity) and 309:102 (PPV,
    NPV); F1 as the harmonic mean of sensitivity and PPV.
    """

    sensitivity: float | None  # TP / (TP + FN)
    specificity: float | None  # TN / (TN + FP)
    ppv: float | None  # TP / (TP + FP)
    npv: float | None  # TN / (TN + FN)
    f1: float | None  # 2 TP / (2 TP + FP + FN)
    accuracy: float | None  # correct / all


NAMES = tuple(field.name for field in fields(Metrics))


class Roc(NamedTuple):
    """A receiver operating characteristic: from (0, 0) to (1, 1), one point a bin."""

    fpr: list[float]
    tpr: list[float]
    auc: float


def summarise(counts: Counts, positive: int | None = None) -> Metrics:
    """Derive the six metrics from a K x K confusion matrix.

    With ``positive`` they are those of that label against the rest. Without, each is the mean
    over the labels, one against the rest (macro average, Sokolova and Lapalme, Information
    Processing & Management 2009;45:427), of those labels for which it is defined. Accuracy is
    the share of correct predictions in both cases.
    """
    labels = range(len(counts)) if positive is None else [positive]
    each = [_ratios(cells(counts, label)) for label in labels]
    values: dict[str, float | None] = {}
    for name in NAMES:
        defined = [above / below for above, below in (ratio[name] for ratio in each) if below]
        values[name] = sum(defined) / len(defined) if defined else None
    return Metrics(**values)


def intervals(counts: Counts, positive: int) -> dict[str, Interval]:
    """Give the 95 % Wilson score interval of every metric that is a proportion (F1 is not one).

    Source: Wilson, JASA 1927;22:209; recommended for small samples by Newcombe, Statistics in
    Medicine 1998;17:857. Undefined proportions are left out.
    """
    return {
        name: wilson(hits, n)
        for name, (hits, n) in _ratios(cells(counts, positive)).items()
        if n and name != "f1"
    }


def wilson(hits: float, n: float) -> Interval:
    """Give the 95 % Wilson score interval of a proportion of ``n`` > 0."""
    z = Z
    middle, width = hits + z**2 / 2, z * sqrt(hits * (n - hits) / n + z**2 / 4)
    return max(0.0, (middle - width) / (n + z**2)), min(1.0, (middle + width) / (n + z**2))


class Range(NamedTuple):
    """The least and the most that a metric may be, and its 95 % interval; F1 has none."""

    least: float
    most: float
    low: float | None
    high: float | None


def ranges(limits: Limits, label: int) -> dict[str, Range]:
    """Give what the metrics of rounded counts may be, and intervals that cover that.

    Each metric rises with the right predictions and falls with the wrong ones, so that it is least
    where those are fewest and these most. Where it may be undefined it is left out.

    Args:
        limits: of a K x K confusion matrix.
        label: whose metrics, against the rest.
    """
    low, high = cells(limits.low, label), cells(limits.high, label)
    worst = _ratios(Cells(low.tp, high.fn, high.fp, low.tn, low.correct, high.wrong))
    best = _ratios(Cells(high.tp, low.fn, low.fp, high.tn, high.correct, low.wrong))
    found = {}
    for name, (hits, n) in worst.items():
        most, of = best[name]
        if n and of:
            sure = (None, None) if name == "f1" else (wilson(hits, n)[0], wilson(most, of)[1])
            found[name] = Range(hits / n, most / of, *sure)
    return found


def roc(scores: Counts | None) -> Roc | None:
    """Draw the ROC curve of a histogram of scores; None where one of the two groups is absent.

    ``scores`` has two rows, of the examples without the label and of those with it, over bins of
    rising score. The area is the trapezoid rule's over the bins, so that two patients in the same
    bin count as a tie, half (Fawcett, Pattern Recognition Letters 2006;27:861): it is exact for
    the binned scores, and differs from that of the unbinned ones by at most half the share of
    tied pairs.
    """
    if scores is None:
        return None
    array = np.asarray(scores, dtype=float)[:, ::-1]  # the strictest threshold first
    total = array.sum(axis=1)
    if not total.all():
        return None
    fpr, tpr = np.pad(np.cumsum(array, axis=1), ((0, 0), (1, 0))) / total[:, None]
    area = float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2))
    return Roc(fpr.tolist(), tpr.tolist(), area)


class Cells(NamedTuple):
    """What a confusion matrix says of one label against the rest, and of all labels together."""

    tp: float
    fn: float
    fp: float
    tn: float
    correct: float
    wrong: float


def cells(counts: Counts, label: int) -> Cells:
    """Count the predictions of one label against the rest.

    Raises:
        ValueError: if the matrix is not square.
    """
    array = np.asarray(counts, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"a confusion matrix is square, not of shape {array.shape}")
    total, correct = float(array.sum()), float(array.trace())
    tp = float(array[label, label])
    fn, fp = float(array[label].sum()) - tp, float(array[:, label].sum()) - tp
    return Cells(tp, fn, fp, total - tp - fn - fp, correct, total - correct)


def _ratios(of: Cells) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of each metric."""
    return {
        "sensitivity": (of.tp, of.tp + of.fn),
        "specificity": (of.tn, of.tn + of.fp),
        "ppv": (of.tp, of.tp + of.fp),
        "npv": (of.tn, of.tn + of.fn),
        "f1": (2 * of.tp, 2 * of.tp + of.fp + of.fn),
        "accuracy": (of.correct, of.correct + of.wrong),
    }
