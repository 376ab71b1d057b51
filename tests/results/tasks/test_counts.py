"""The metrics are scikit-learn's, and those of summed counts are those of the pooled data."""

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from federator.results.tasks import counts as metrics
from federator.runtime.protocol.evaluation import tables
from federator.runtime.worker.tasks.classification import confusion, histogram

SITES = 3


def _labels(seed: int, classes: int, size: int = 200) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, size)
    wrong = random.random(size) < 0.3
    return true, np.where(wrong, random.integers(0, classes, size), true)


def _of_the_negation(true: np.ndarray, guess: np.ndarray, label: int) -> tuple[float, float]:
    """Specificity and NPV are sensitivity and PPV of the negation."""
    return (
        reference.recall_score(true != label, guess != label),
        reference.precision_score(true != label, guess != label),
    )


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_two_labels(seed: int, positive: int) -> None:
    true, guess = _labels(seed, 2)
    counts = confusion(true, guess, 2)
    assert counts == reference.confusion_matrix(true, guess, labels=[0, 1]).tolist()
    found = metrics.summarise(counts, positive)
    specificity, npv = _of_the_negation(true, guess, positive)
    expected = metrics.Metrics(
        sensitivity=reference.recall_score(true, guess, pos_label=positive),
        specificity=specificity,
        ppv=reference.precision_score(true, guess, pos_label=positive),
        npv=npv,
        f1=reference.f1_score(true, guess, pos_label=positive),
        accuracy=reference.accuracy_score(true, guess),
    )
    assert [getattr(found, name) for name in metrics.NAMES] == pytest.approx(
        [getattr(expected, name) for name in metrics.NAMES]
    )


@pytest.mark.parametrize("classes", [3, 5])
def test_several_labels_are_averaged_one_against_the_rest(classes: int) -> None:
    true, guess = _labels(7, classes)
    found = metrics.summarise(confusion(true, guess, classes))
    pairs = [_of_the_negation(true, guess, label) for label in range(classes)]
    assert found.sensitivity == pytest.approx(reference.recall_score(true, guess, average="macro"))
    assert found.ppv == pytest.approx(reference.precision_score(true, guess, average="macro"))
    assert found.f1 == pytest.approx(reference.f1_score(true, guess, average="macro"))
    assert found.specificity == pytest.approx(np.mean([pair[0] for pair in pairs]))
    assert found.npv == pytest.approx(np.mean([pair[1] for pair in pairs]))
    assert found.accuracy == pytest.approx(reference.accuracy_score(true, guess))


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        ([[10, 0], [0, 0]], {"sensitivity", "ppv", "f1"}),  # no positives, none predicted
        ([[0, 0], [0, 10]], {"specificity", "npv"}),  # only positives, all found
        ([[5, 0], [5, 0]], {"ppv"}),  # never says positive
        ([[0, 0], [0, 0]], set(metrics.NAMES)),
    ],
)
def test_a_metric_without_denominator_is_none(counts: list[list[int]], undefined: set[str]) -> None:
    found = metrics.summarise(counts, positive=1)
    assert {name for name in metrics.NAMES if getattr(found, name) is None} == undefined


def test_a_label_that_is_absent_does_not_enter_the_mean() -> None:
    found = metrics.summarise([[8, 2, 0], [1, 9, 0], [0, 0, 0]])
    assert found.sensitivity == pytest.approx((0.8 + 0.9) / 2)
    assert found.accuracy == pytest.approx(17 / 20)


def test_sums_over_sites_are_the_pooled_data() -> None:
    true, guess = _labels(3, 2, 300)
    parts = zip(np.array_split(true, SITES), np.array_split(guess, SITES), strict=True)
    summed = tables.add(confusion(*part, 2) for part in parts)
    assert summed == confusion(true, guess, 2)


def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        metrics.summarise([[1, 2, 3], [4, 5, 6]], 1)


@pytest.mark.parametrize(
    ("true", "guess", "says"),
    [([0, 1], [0, 2], r"0\.\.1"), ([0, -1], [0, 1], r"0\.\.1"), ([0, 1], [0], "shape")],
)
def test_labels_out_of_range_are_refused(true: list[int], guess: list[int], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        confusion(np.array(true), np.array(guess), 2)


def _scores(seed: int, size: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    true = random.integers(0, 2, size)
    return true, random.beta(2 + 2 * true, 4 - 2 * true)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_the_binned_scores(seed: int) -> None:
    true, scores = _scores(seed)
    binned = np.minimum(np.floor(scores * 16), 15)
    curve = metrics.roc(histogram(true == 1, scores, 16))
    assert curve is not None
    fpr, tpr, _ = reference.roc_curve(true, binned, drop_intermediate=False)
    assert curve.auc == pytest.approx(reference.roc_auc_score(true, binned))
    assert set(zip(fpr.round(9), tpr.round(9), strict=True)) == set(
        zip(np.round(curve.fpr, 9), np.round(curve.tpr, 9), strict=True)
    )
    ties = np.equal.outer(binned[true == 1], binned[true == 0]).mean()
    assert abs(curve.auc - reference.roc_auc_score(true, scores)) <= ties / 2


@pytest.mark.parametrize("counts", [[[0, 0], [3, 4]], [[3, 4], [0, 0]], [[0, 0], [0, 0]]])
def test_no_curve_without_both_labels(counts: list[list[int]]) -> None:
    assert metrics.roc(counts) is None


def test_a_perfect_and_a_useless_model() -> None:
    perfect, useless = metrics.roc([[9, 0], [0, 9]]), metrics.roc([[5, 5], [3, 3]])
    assert perfect is not None and perfect.auc == 1
    assert useless is not None and useless.auc == 0.5


def test_sites_of_different_resolution_are_summed_at_the_coarsest() -> None:
    true, scores = _scores(2)
    fine = histogram(true[:200] == 1, scores[:200], 64)
    coarse = histogram(true[200:] == 1, scores[200:], 16)
    assert tables.add([fine, coarse]) == histogram(true == 1, scores, 16)


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_scores_are_probabilities(score: float) -> None:
    with pytest.raises(ValueError, match="score"):
        histogram(np.array([0]), np.array([score]), 4)


def test_the_ends_of_the_scale_are_in_the_first_and_the_last_bin() -> None:
    assert histogram(np.array([0, 1]), np.array([0.0, 1.0]), 2) == [[1, 0], [0, 1]]


def test_wilson_intervals() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263 and 0 of 20.
    found = metrics.intervals([[20, 0], [182, 81]], positive=1)
    assert found["sensitivity"] == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert 1 - found["specificity"][0] == pytest.approx(0.1611, abs=1e-4)
    assert found["specificity"][1] == 1
    assert "f1" not in found
    assert "ppv" not in metrics.intervals([[5, 0], [5, 0]], positive=1)
