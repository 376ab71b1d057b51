"""Multi-label over sites: scikit-learn's figures of all sites' examples in one."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from federator.results.tasks.base import Shown
from federator.results.tasks.multilabel import MultilabelView
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tables import add
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.worker.tasks.multilabel import count

LABELS = ("effusion", "mass", "nodule")
VIEW = MultilabelView(EvaluationSettings(Task("multilabel", len(LABELS)), LABELS))
MULTILABEL = Task("multilabel", len(LABELS))


def site(seed, n, unlabelled=0.1):
    """Return targets and scores of n examples, some of them not labelled for some labels."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, len(LABELS))) < (0.5, 0.3, 0.1)).astype(float)
    scores = np.clip(0.25 * targets + 0.75 * rng.random(targets.shape), 0, 1)
    targets[rng.random(targets.shape) < unlabelled] = np.nan
    return targets, scores


def pooled(sites):
    """Return the sum of the sites' tables, and their examples in one."""
    counted = [count(*each) for each in sites]
    tables = {name: add(each[name] for each in counted) for name in counted[0]}
    return tables, *(np.concatenate(parts) for parts in zip(*sites, strict=True))


def expected(truth, scores):
    """Return scikit-learn's figures of one label; NaN where one is undefined."""
    guess, undefined = (scores >= 0.5).astype(int), {"zero_division": np.nan}
    both = len(np.unique(truth)) == 2
    return {
        "sensitivity": recall_score(truth, guess, **undefined),
        "specificity": recall_score(truth, guess, pos_label=0, **undefined),
        "ppv": precision_score(truth, guess, **undefined),
        "npv": precision_score(truth, guess, pos_label=0, **undefined),
        "f1": f1_score(truth, guess, **undefined),
        "accuracy": accuracy_score(truth, guess) if len(truth) else np.nan,
        "auc": roc_auc_score(truth, scores) if both else np.nan,
    }


def tied(truth, scores):
    """Return half the share of pairs of both groups that are in one of 64 bins."""
    bins = np.minimum((scores * 64).astype(int), 63)
    return (bins[truth == 1][:, None] == bins[truth == 0]).mean() / 2


def compare(found, truth, scores):
    for name, value in expected(truth, scores).items():
        if np.isnan(value):
            assert found[name].value is None, name
        else:
            error = tied(truth, scores) + 1e-9 if name == "auc" else 1e-9
            assert found[name].value == pytest.approx(value, abs=error), name


@given(
    st.lists(st.integers(0, 60), min_size=3, max_size=3).filter(any),
    st.integers(0, 2**31),
    st.sampled_from([0, 0.1, 0.7]),
)
@settings(max_examples=40, deadline=None)
def test_figures_over_unequal_tiny_and_empty_sites_are_those_of_all_examples(sizes, seed, gaps):
    tables, targets, scores = pooled([site(seed + i, n, gaps) for i, n in enumerate(sizes)])
    assume((~np.isnan(targets)).any(axis=0).all())  # scikit-learn takes no empty array
    parts = VIEW.parts(tables)
    assert [*parts] == [*LABELS, "Micro average"]
    by_label = []
    for k, name in enumerate(LABELS):
        known = ~np.isnan(targets[:, k])
        truth, score = targets[known, k].astype(int), scores[known, k]
        compare(parts[name], truth, score)
        by_label.append(expected(truth, score))
    known = ~np.isnan(targets)
    compare(parts["Micro average"], targets[known].astype(int), scores[known])
    macro = VIEW.figures(tables)
    for name in ("sensitivity", "specificity", "ppv", "npv", "f1", "accuracy"):
        values = [each[name] for each in by_label if not np.isnan(each[name])]
        assert macro[name].value == pytest.approx(np.mean(values) if values else None, abs=1e-9)
    areas = [parts[name]["auc"].value for name in LABELS]
    areas = [area for area in areas if area is not None]
    assert macro["auc"].value == pytest.approx(np.mean(areas) if areas else None, abs=1e-9)


def test_labels_have_intervals_and_averages_have_none():
    tables, targets, scores = pooled([site(1, 80), site(2, 7), site(3, 0)])
    parts = VIEW.parts(tables)
    known = ~np.isnan(targets[:, 0])
    (_, _), (misses, hits) = confusion_matrix(targets[known, 0], scores[known, 0] >= 0.5)
    wilson = stats.binomtest(int(hits), int(hits + misses)).proportion_ci(method="wilson")
    figure = parts["effusion"]["sensitivity"]
    assert (figure.low, figure.high) == pytest.approx((wilson.low, wilson.high), abs=1e-6)
    area = parts["effusion"]["auc"]
    assert area.low < area.value < area.high
    for figure in (*VIEW.figures(tables).values(), *parts["Micro average"].values()):
        assert figure.low is None


@given(st.integers(2, 12), st.integers(0, 120), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_no_count_below_the_minimum_leaves_a_site(minimum, n, seed):
    forms, tables = MULTILABEL.forms, count(*site(seed, n))
    assert forms.keys() == tables.keys()
    assert MULTILABEL.examples(tables) <= n
    released = {k: out for k, t in tables.items() if (out := forms[k].release(t, minimum))}
    for table in released.values():
        assert all(cell == 0 or cell >= minimum for row in table for cell in row)
    figures = VIEW.figures(released)  # what is withheld is a dash, and nothing else
    for name in ("f1", "accuracy"):
        there = [VIEW.parts(released)[label][name].value for label in LABELS]
        there = [value for value in there if value is not None]
        assert figures[name].value == pytest.approx(np.mean(there) if there else None)


def test_the_micro_area_is_a_dash_where_scores_of_a_label_are_withheld():
    tables, *_ = pooled([site(1, 60), site(2, 40)])
    del tables["scores.1"]
    assert VIEW.parts(tables)["Micro average"]["auc"].value is None
    assert VIEW.parts(tables)["Micro average"]["f1"].value is not None
    assert VIEW.parts(tables)["mass"]["auc"].value is None


def test_each_label_has_a_chart_with_a_line_for_each_model():
    tables, *_ = pooled([site(1, 60), site(2, 40)])
    charts = VIEW.charts("ROC", {"Federation": Shown(tables, None), "a": Shown(tables, 0)})
    assert [chart.title for chart in charts] == [f"ROC: {name}" for name in LABELS]
    assert all(len(chart.lines) == 2 and chart.diagonal for chart in charts)
    assert VIEW.charts("ROC", {"Federation": Shown({}, None)}) == []


def test_a_single_label_has_no_parts():
    alone = MultilabelView(EvaluationSettings(Task("multilabel", 1), ("effusion",)))
    tables = count(np.array([[1.0], [0]]), np.array([[0.9], [0.2]]))
    assert alone.parts(tables) == {}
    assert alone.figures(tables)["f1"].value == 1
