"""Classification over sites: scikit-learn's figures of all sites' examples, label by label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from federator.results.tasks.base import Shown
from federator.results.tasks.classification import ClassificationView
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tables import add
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.worker.tasks.classification import confusion, histogram

LABELS = ("basal", "benign", "melanoma")
VIEW = ClassificationView(EvaluationSettings(Task("classification", len(LABELS)), LABELS))


def site(seed, n):
    """Return labels (n,) and probabilities (n, 3) that know something of them."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, n, p=(0.6, 0.3, 0.1))
    scores = rng.dirichlet(np.ones(3), n) + 0.5 * np.eye(3)[labels] * rng.random((n, 1))
    return labels, scores / scores.sum(axis=1, keepdims=True)


def counted(labels, scores):
    tables = {"confusion": confusion(labels, scores.argmax(axis=1), 3)}
    for k in range(3):
        tables[f"scores.{k}"] = histogram(labels == k, np.clip(scores[:, k], 0, 1))
    return tables


def pooled(sites):
    tables = [counted(*each) for each in sites]
    summed = {name: add(each[name] for each in tables) for name in tables[0]}
    return summed, *(np.concatenate(parts) for parts in zip(*sites, strict=True))


def tied(present, score):
    """Return half the share of pairs of both groups that are in one of 64 bins."""
    bins = np.minimum((score * 64).astype(int), 63)
    return (bins[present][:, None] == bins[~present]).mean() / 2


@given(
    st.lists(st.integers(0, 60), min_size=3, max_size=3).filter(any), st.integers(0, 2**31)
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_each_label_has_the_figures_of_all_examples(sizes, seed):
    tables, labels, scores = pooled([site(seed + i, n) for i, n in enumerate(sizes)])
    guess, undefined = scores.argmax(axis=1), {"zero_division": np.nan}
    parts, areas = VIEW.parts(tables), []
    for k, name in enumerate(LABELS):
        truth, found = (labels == k).astype(int), parts[name]
        mine = (guess == k).astype(int)
        expected = {
            "sensitivity": recall_score(truth, mine, **undefined),
            "specificity": recall_score(truth, mine, pos_label=0, **undefined),
            "ppv": precision_score(truth, mine, **undefined),
            "npv": precision_score(truth, mine, pos_label=0, **undefined),
            "f1": f1_score(truth, mine, **undefined),
        }
        for column, value in expected.items():
            known = None if np.isnan(value) else pytest.approx(value, abs=1e-9)
            assert found[column].value == known, column
            if column != "f1" and known is not None:
                assert found[column].low - 1e-9 <= value <= found[column].high + 1e-9
        if 0 < truth.sum() < len(truth):
            error = tied(truth == 1, scores[:, k]) + 1e-9
            assert found["auc"].value == pytest.approx(
                roc_auc_score(truth, scores[:, k]), abs=error
            )
            areas.append(found["auc"].value)
    macro = VIEW.figures(tables)
    assert macro["accuracy"].value == pytest.approx(accuracy_score(labels, guess), abs=1e-9)
    assert macro["auc"].value == pytest.approx(np.mean(areas) if areas else None)


def test_the_mean_area_is_that_of_scikit_learn_but_for_ties():
    tables, labels, scores = pooled([site(3, 90), site(4, 40), site(5, 0)])
    error = np.mean([tied(labels == k, scores[:, k]) for k in range(3)])
    expected = roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert VIEW.figures(tables)["auc"].value == pytest.approx(expected, abs=error)


def test_each_of_three_labels_has_a_chart_and_intervals():
    tables, *_ = pooled([site(3, 90), site(4, 40)])
    charts = VIEW.charts("ROC", {"Federation": Shown(tables, None), "a": Shown(tables, 0)})
    assert [chart.title for chart in charts[::2]] == [f"ROC: {name}" for name in LABELS]
    assert [chart.title for chart in charts[1::2]] == [f"ROC: {n}, calibration" for n in LABELS]
    assert [len(chart.lines) for chart in charts] == [2, 3] * len(LABELS)
    for found in VIEW.parts(tables).values():
        assert found["auc"].low < found["auc"].value < found["auc"].high


def test_of_two_labels_there_are_the_positive_ones_figures_and_no_parts():
    view = ClassificationView(
        EvaluationSettings(Task("classification", 2), ("benign", "malignant"), 0)
    )
    labels, scores = np.array([0, 0, 1, 1, 1, 0]), np.array([0.9, 0.2, 0.1, 0.4, 0.6, 0.8])
    tables = {"confusion": confusion(labels, (scores < 0.5).astype(int), 2)}
    tables["scores.0"] = histogram(labels == 0, scores)
    assert view.parts(tables) == {}
    found = view.figures(tables)
    assert found["sensitivity"].value == pytest.approx(2 / 3)
    assert found["auc"].value == pytest.approx(roc_auc_score(labels == 0, scores))
    assert found["auc"].low < found["auc"].value < found["auc"].high
    assert len(view.charts("ROC", {"Federation": Shown(tables, None)})) == 2


@given(st.integers(2, 12), st.integers(0, 150), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_no_bin_below_the_minimum_leaves_a_site(minimum, n, seed):
    task, tables = Task("classification", 3), counted(*site(seed, n))
    assert task.examples(tables) == n
    for name, table in tables.items():
        released = task.forms[name].release(table, minimum)
        if name != "confusion" and released is not None:
            assert all(cell == 0 or cell >= minimum for row in released for cell in row)
