"""How good a model is, from counts that add up over sites.

Sites send counts and never values of single patients: a confusion matrix (rows the true label,
columns the predicted one) and, where a site allows it, its scores in bins of equal width. The
metrics of the sum are those of the pooled test sets, exactly; a mean of the sites' metrics is not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = Sequence[Sequence[int]]
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


def confusion(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int
) -> list[list[int]]:
    """Count a test set's labels and predictions, both integers in 0..classes-1 of shape (N,).

    Raises:
        ValueError: if the shapes differ or a label is out of range.
    """
    true, guess = np.asarray(labels), np.asarray(predicted)
    if true.ndim != 1 or true.shape != guess.shape:
        raise ValueError(f"labels of shape {true.shape}, predictions of shape {guess.shape}")
    if (
        true.size
        and not 0 <= min(true.min(), guess.min()) <= max(true.max(), guess.max()) < classes
    ):
        raise ValueError(f"a label or a prediction is not in 0..{classes - 1}")
    flat = np.bincount(true.astype(int) * classes + guess.astype(int), minlength=classes**2)
    rows: list[list[int]] = flat.reshape(classes, classes).tolist()
    return rows


def histogram(
    labels: NDArray[np.integer], scores: NDArray[np.floating], bins: int
) -> list[list[int]]:
    """Count scores in ``bins`` bins of equal width over 0..1, one row for each of two labels.

    ``labels`` holds 0 or 1 and ``scores`` the score of the positive label, both of shape (N,).

    Raises:
        ValueError: if a score is not in 0..1 or not a number.
    """
    values = np.asarray(scores, dtype=float)
    if not bool(np.all((values >= 0) & (values <= 1))):
        raise ValueError("a score is not in 0..1")
    place = np.minimum((values * bins).astype(int), bins - 1)  # a score of 1 is in the last bin
    return [np.bincount(place[np.asarray(labels) == k], minlength=bins).tolist() for k in (0, 1)]


def add(many: Iterable[Counts]) -> list[list[int]]:
    """Sum confusion matrices, or histograms of equal bins.

    Raises:
        ValueError: if there is nothing to add or the shapes differ.
    """
    arrays = [np.asarray(counts, dtype=np.int64) for counts in many]
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(f"counts of different shapes: {[array.shape for array in arrays]}")
    total: list[list[int]] = np.sum(arrays, axis=0).tolist()
    return total


def coarsen(counts: Counts, bins: int) -> list[list[int]]:
    """Halve the number of bins, by joining neighbours, until it is ``bins``.

    Raises:
        ValueError: if halving does not lead to ``bins``.
    """
    array = np.asarray(counts, dtype=np.int64)
    while array.shape[1] > bins and array.shape[1] % 2 == 0:
        array = array[:, ::2] + array[:, 1::2]
    if array.shape[1] != bins:
        raise ValueError(f"{len(counts[0])} bins do not halve to {bins}")
    rows: list[list[int]] = array.tolist()
    return rows


def pool(histograms: Sequence[Counts]) -> list[list[int]]:
    """Sum histograms of sites at the resolution of the coarsest one.

    Raises:
        ValueError: if there is none, or the numbers of bins do not halve to the smallest.
    """
    bins = min((len(counts[0]) for counts in histograms), default=0)
    return add(coarsen(counts, bins) for counts in histograms)


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
    found, z = {}, 1.959964
    for name, (hits, n) in _ratios(counts, positive).items():
        if n and name != "f1":
            middle, width = hits + z**2 / 2, z * sqrt(hits * (n - hits) / n + z**2 / 4)
            low, high = (middle - width) / (n + z**2), (middle + width) / (n + z**2)
            found[name] = (max(0.0, low), min(1.0, high))
    return found


def roc(counts: Counts, positive: int = 1) -> Roc | None:
    """Draw the ROC curve of a histogram of scores; None where one of the two labels is absent.

    ``counts`` has a row for each label over bins of rising score of the positive label. The
    area is the trapezoid rule's over the bins, so that two patients in the same bin count as a
    tie, half (Fawcett, Pattern Recognition Letters 2006;27:861): it is exact for the binned
    scores, and differs from that of the unbinned ones by at most half the share of tied pairs.
    """
    array = np.asarray(counts, dtype=float)[:, ::-1]  # the strictest threshold first
    total = array.sum(axis=1)
    if not total.all():
        return None
    curve = np.pad(np.cumsum(array, axis=1), ((0, 0), (1, 0))) / total[:, None]
    tpr, fpr = curve[positive], curve[1 - positive]
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
