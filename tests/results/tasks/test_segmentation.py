"""Segmentation over sites: the figures of scikit-learn on all cases in one."""

import numpy as np
import pytest
from fixtures.surfaces import hd95
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from federator.results.drawing import plots
from federator.results.tasks.base import Shown
from federator.results.tasks.segmentation import SegmentationView, SurfacesView, quantiles
from federator.runtime.protocol.evaluation.settings import EvaluationSettings, Surfaces
from federator.runtime.protocol.evaluation.tables import add
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.worker.tasks.cases import Cases

CLASSES = ("background", "liver", "spleen")
VIEW = SegmentationView(EvaluationSettings(Task("segmentation", len(CLASSES)), CLASSES))
SEGMENTATION = Task("segmentation", len(CLASSES))

SURFACES = Surfaces(3.0, "voxels")
WITH_SURFACES = SurfacesView(
    EvaluationSettings(Task("segmentation", len(CLASSES)), CLASSES, surfaces=SURFACES)
)


def site(seed, n):
    """Return masks and predicted masks of n cases, (n, 5, 4); some hold no class but the ground."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 3, (n, 5, 4)) * rng.integers(0, 2, (n, 1, 1))
    wrong = rng.random(masks.shape) < 0.3 * rng.integers(0, 2, (n, 1, 1))
    return masks, np.where(wrong, rng.integers(0, 3, masks.shape), masks)


def counted(masks, predicted, surfaces=None):
    cases = Cases(len(CLASSES), surfaces)
    for pair in zip(masks, predicted, strict=True):
        cases.add(*pair)
    return cases.tables()


def pooled(sites, surfaces=None):
    """Return the sum of the sites' tables, and their cases in one."""
    tables = [counted(*each, surfaces) for each in sites]
    summed = {name: add(each[name] for each in tables) for name in tables[0]}
    return summed, *(np.concatenate(parts) for parts in zip(*sites, strict=True))


def by_case(metric, masks, predicted, k):
    """Return scikit-learn's value of a class for each case in which it is drawn or predicted."""
    pairs = ((m.ravel() == k, p.ravel() == k) for m, p in zip(masks, predicted, strict=True))
    return np.array([metric(m, p, zero_division=0) for m, p in pairs if m.any() or p.any()])


@given(st.lists(st.integers(0, 12), min_size=3, max_size=3).filter(any), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_figures_over_unequal_tiny_and_empty_sites_are_those_of_all_cases(sizes, seed):
    tables, masks, predicted = pooled([site(seed + i, n) for i, n in enumerate(sizes)])
    parts = VIEW.parts(tables)
    assert [*parts] == ["liver", "spleen"]
    for k, name in enumerate(CLASSES[1:], 1):
        found, drawn, guess = parts[name], masks.ravel() == k, predicted.ravel() == k
        for column, metric in (("dice", f1_score), ("iou", jaccard_score)):
            values = by_case(metric, masks, predicted, k)
            if not len(values):
                assert found[column].value is None
                continue
            assert found[column].value == pytest.approx(values.mean(), abs=1e-9)
            if len(values) > 1:
                ends = [values.mean()] * 2
                if values.std() > 1e-9:
                    freedom, error = len(values) - 1, stats.sem(values)
                    ends = stats.t.interval(0.95, freedom, values.mean(), error)
                assert found[column].low == pytest.approx(max(0, ends[0]), abs=1e-4)
                assert found[column].high == pytest.approx(min(1, ends[1]), abs=1e-4)
        for column, metric in (("sensitivity", recall_score), ("ppv", precision_score)):
            value = metric(drawn, guess, zero_division=np.nan)
            expected = None if np.isnan(value) else pytest.approx(value, abs=1e-9)
            assert found[column].value == expected
    macro = VIEW.figures(tables)
    for column in VIEW.columns:
        values = [parts[name][column].value for name in parts]
        values = [value for value in values if value is not None]
        assert macro[column].value == pytest.approx(np.mean(values) if values else None, abs=1e-12)


@given(st.lists(st.integers(0, 12), min_size=3, max_size=3).filter(any), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_the_sum_over_sites_is_the_tables_of_all_cases(sizes, seed):
    tables, masks, predicted = pooled([site(seed + i, n) for i, n in enumerate(sizes)])
    for name, table in counted(masks, predicted).items():
        assert np.allclose(tables[name], table, rtol=0, atol=1e-9)


def test_the_interval_of_the_macro_average_holds_however_the_classes_depend():
    tables, *_ = pooled([site(7, 9), site(8, 2), site(9, 0)])
    macro, parts = VIEW.figures(tables)["dice"], VIEW.parts(tables)
    halves = [(one["dice"].high - one["dice"].low) / 2 for one in parts.values()]
    assert (macro.high - macro.low) / 2 == pytest.approx(np.mean(halves))
    same = {f"overlap.{k}": tables["overlap.1"] for k in (1, 2)}  # the classes depend wholly
    assert VIEW.figures(same)["dice"] == VIEW.parts(same)["liver"]["dice"]


@given(st.integers(2, 6), st.integers(0, 25), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_nothing_of_fewer_cases_than_the_minimum_leaves_a_site(minimum, n, seed):
    forms, tables = SEGMENTATION.forms, counted(*site(seed, n), SURFACES)
    assert forms.keys() - tables.keys() == {"surfaces.0", "distances.0"}
    assert SEGMENTATION.examples(tables) <= n
    for name, table in tables.items():
        assert forms[name].read(table) == table
        released = forms[name].release(table, minimum)
        if name.startswith(("histogram", "distances")):
            cells = [] if released is None else released[0]
            assert all(cell == 0 or cell >= minimum for cell in cells)
        else:
            assert (released is None) == (0 < table[0][0] < minimum)


def test_two_classes_are_one_figure():
    view = SegmentationView(EvaluationSettings(Task("segmentation", 2), CLASSES[:2]))
    tables, *_ = pooled([site(1, 5)])
    assert view.parts(tables) == {}
    assert view.figures(tables) == VIEW.parts(tables)["liver"]


def test_nothing_counted_is_nothing_known():
    assert {one.value for one in VIEW.figures({}).values()} == {None}
    assert VIEW.charts("Dice", {"Federation": Shown({}, None)}) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_quantiles_of_a_histogram_are_right_to_a_bin(values):
    histogram = [np.histogram(values, bins=32, range=(0, 1))[0].tolist()]
    found = quantiles(histogram)
    exact = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")
    assert found.cases == len(values)
    assert found.values == pytest.approx(exact, abs=1 / 32 + 1e-9)
    assert list(found.values) == sorted(found.values)


def test_a_chart_has_a_box_for_each_class_and_model():
    tables, *_ = pooled([site(1, 12), site(2, 6)])
    shown = {"Federation": Shown(tables, None), "north": Shown(tables, 0, dashed=True)}
    (chart,) = VIEW.charts("Federation", shown)
    assert [line.series.name for line in chart.lines] == ["Federation", "north"]
    assert [label for _, label in chart.x_ticks] == ["liver", "spleen"]
    for line in chart.lines:
        assert line.path.count("M") == 4  # a box and its median, for two classes
        assert [point.tip[:6] for point in line.points] == ["median"] * 2
    for line in chart.lines:
        for point, (x, _) in zip(line.points, chart.x_ticks, strict=True):
            assert abs(point.x - x) < (plots.WIDTH - plots.LEFT - plots.RIGHT) / 4


@given(st.lists(st.integers(0, 12), min_size=3, max_size=3).filter(any), st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_the_hd95_over_unequal_tiny_and_empty_sites_is_that_of_all_cases(sizes, seed):
    tables, masks, predicted = pooled([site(seed + i, n) for i, n in enumerate(sizes)], SURFACES)
    parts = WITH_SURFACES.parts(tables)
    for k, name in enumerate(CLASSES[1:], 1):
        pairs = [(m == k, p == k) for m, p in zip(masks, predicted, strict=True)]
        pairs = [pair for pair in pairs if pair[0].any() or pair[1].any()]
        values = [hd95(*pair, None, SURFACES.limit) for pair in pairs]
        found = parts[name]["hd95"]
        assert found.value == pytest.approx(np.mean(values) if values else None, abs=1e-9)
        if not values:
            continue
        in_bins = quantiles(tables[f"distances.{k}"], SURFACES.limit).values
        exact = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95], method="inverted_cdf")
        assert in_bins == pytest.approx(exact, abs=SURFACES.limit / 32 + 1e-9)
    others = {name: VIEW.figures(tables)[name] for name in VIEW.columns}
    assert {name: WITH_SURFACES.figures(tables)[name] for name in VIEW.columns} == others


def test_hd95_has_its_unit_a_box_and_a_lower_value_is_better():
    tables, *_ = pooled([site(1, 12), site(2, 6)], SURFACES)
    dice, far = WITH_SURFACES.charts("Federation", {"Federation": Shown(tables, None)})
    assert dice.title == "Federation: Dice"
    assert far.title == "Federation: HD95 (voxels)"
    assert far.y_ticks[-1][1] == "3"
    assert all(point.tip.startswith("median") for line in far.lines for point in line.points)
    assert "HD95 is the 95 % Hausdorff distance in voxels" in WITH_SURFACES.caption
    assert "count as 3 voxels" in WITH_SURFACES.caption
    assert WITH_SURFACES.columns["hd95"].better == "lower"
    assert WITH_SURFACES.figures(tables)["hd95"].high <= SURFACES.limit
