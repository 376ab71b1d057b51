"""Figures of counts: the metrics of a confusion matrix, their intervals, ROC curves.

The metrics of a sum of matrices are those of the pooled sets, exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import NamedTuple

import numpy as np

from federator.results.tasks.intervals import Z

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
    each = [_ratios(counts, label) for label in labels]
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
    found, z = {}, Z
    for name, (hits, n) in _ratios(counts, positive).items():
        if n and name != "f1":
            middle, width = hits + z**2 / 2, z * sqrt(hits * (n - hits) / n + z**2 / 4)
            low, high = (middle - width) / (n + z**2), (middle + width) / (n + z**2)
            found[name] = (max(0.0, low), min(1.0, high))
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


def _ratios(counts: Counts, label: int) -> dict[str, tuple[int, int]]:
    """Numerator and denominator of each metric for one label against the rest."""
    array = np.asarray(counts, dtype=np.int64)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"a confusion matrix is square, not of shape {array.shape}")
    total, correct = int(array.sum()), int(array.trace())
    tp = int(array[label, label])
    fn, fp = int(array[label].sum()) - tp, int(array[:, label].sum()) - tp
    tn = total - tp - fn - fp
    return {
        "sensitivity": (tp, tp + fn),
        "specificity": (tn, tn + fp),
        "ppv": (tp, tp + fp),
        "npv": (tn, tn + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "accuracy": (correct, total),
    }
