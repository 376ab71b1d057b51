"""Figures of a survival analysis are those of lifelines, or lie within the error that they state.

Exact is what is made of times in intervals, as they leave a site; concordance within sites; all
else is compared with exact times and risks.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.statistics import logrank_test
from lifelines.utils import concordance_index

from federator.results.tasks import survival
from federator.results.tasks.base import Shown
from federator.results.tasks.survival import SurvivalView
from federator.runtime.protocol.evaluation import tables
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import RISK_BINS, TIMES, Task
from federator.runtime.worker.tasks.survival import count

HORIZON = 60.0
FORMS = Task("survival", 1).forms
VIEW = SurvivalView(EvaluationSettings(Task("survival", 1), (), horizon=HORIZON))
SIZES = st.lists(st.integers(0, 70), min_size=3, max_size=3)


def site(seed: int, size: int):
    """Return times in months, events and risks (N,): who is at higher risk dies earlier."""
    random = np.random.default_rng(seed)
    risks = random.normal(0, 1.5, size)
    deaths = random.exponential(50 * np.exp(-risks / 2))
    ends = random.uniform(0, 90, size)
    return np.minimum(deaths, ends).round(1), deaths <= ends, risks


def pooled(sites, minimum: int = 0):
    """Return the sums of what the sites let out."""
    found = {}
    for one in sites:
        for name, table in count(*one, HORIZON).items():
            table = FORMS[name].read(table)
            if (released := FORMS[name].release(table, minimum)) is not None:
                found.setdefault(name, []).append(released)
    return {name: tables.add(each) for name, each in found.items()}


def until_horizon(sites):
    """Return all patients together, with those who were without the event until the horizon."""
    times, events, risks = (np.concatenate([one[k] for one in sites]) for k in range(3))
    return np.minimum(times, HORIZON), events & (times <= HORIZON), risks


def intervals(times):
    """Return the number of the interval, from 1, that a time is in."""
    return np.maximum(1, np.ceil(times * TIMES / HORIZON))


def curve(times, events):
    """Return the survival at the ends of all intervals, and its 95 % interval."""
    fitted = KaplanMeierFitter().fit(intervals(times), events, timeline=range(TIMES + 1))
    return np.column_stack([fitted.survival_function_, fitted.confidence_interval_])[1:]


@settings(max_examples=25, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**20))
def test_curves_and_log_rank_are_those_of_the_pooled_times_in_intervals(sizes, seed) -> None:
    sites = [site(seed + number, size) for number, size in enumerate(sizes)]
    times, events, risks = until_horizon(sites)
    sums = pooled(sites)
    groups = [times[risks < 0], events[risks < 0]], [times[risks >= 0], events[risks >= 0]]
    for found, (ends, happened) in zip(survival.groups(sums["risks"]), groups, strict=True):
        steps = survival.kaplan_meier(found)
        known = [step for step in steps if step.at_risk]
        if not len(ends):
            assert not known
            continue
        expected = curve(ends, happened)[: len(known)]
        assert [one.survival for one in known] == pytest.approx(expected[:, 0], abs=1e-9)
        sure = [k for k, one in enumerate(known) if one.low is not None]
        bounds = [(known[k].low, known[k].high) for k in sure]
        assert np.array(bounds).reshape(-1, 2) == pytest.approx(expected[sure, 1:], abs=1e-6)
    statistic = survival.log_rank(*survival.groups(sums["risks"]))
    if all(len(ends) for ends, _ in groups) and events.any() and statistic is not None:
        (first, died), (second, others) = groups
        asked = logrank_test(intervals(first), intervals(second), died, others)
        assert statistic == pytest.approx(asked.test_statistic, rel=1e-9, abs=1e-9)
        assert survival.p_value(statistic) == pytest.approx(asked.p_value, rel=1e-6, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**20), minimum=st.sampled_from([0, 2, 5]))
def test_binned_concordance_is_within_its_error_of_the_exact_one(sizes, seed, minimum) -> None:
    sites = [site(seed + number, size) for number, size in enumerate(sizes)]
    sums = pooled(sites, minimum)
    if "risks" not in sums:
        return
    there = [one for one in sites if "risks" in pooled([one], minimum)]
    times, events, risks = until_horizon(there)
    found = survival.concordance(sums["risks"])
    if found is None:
        return
    try:
        exact = concordance_index(times, -risks, events)
    except ZeroDivisionError:
        return
    assert abs(found.value - exact) <= found.error + 1e-12


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**20))
def test_binned_concordance_is_that_of_bins_and_intervals(sizes, seed) -> None:
    sites = [site(seed + number, size) for number, size in enumerate(sizes)]
    times, events, risks = until_horizon(sites)
    found = survival.concordance(pooled(sites)["risks"])
    bins = np.floor(RISK_BINS / (1 + np.exp(-risks)))
    try:
        expected = concordance_index(intervals(times), -bins, events)
    except ZeroDivisionError:
        assert found is None
        return
    assert found.value == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(sizes=SIZES, seed=st.integers(0, 2**20))
def test_concordance_within_sites_is_exact(sizes, seed) -> None:
    sites = [site(seed + number, size) for number, size in enumerate(sizes)]
    for _, _, risks in sites:
        risks[:] = risks.round(1)  # so that some are the same
    right = total = 0.0
    for one in sites:
        times, events, risks = until_horizon([one])
        ahead = (times[:, None] < times) | ((times[:, None] == times) & ~events)
        comparable = ahead & events[:, None]
        pairs = comparable.sum()
        total += pairs
        right += concordance_index(times, -risks, events) * pairs if pairs else 0
    found = VIEW.figures(pooled(sites))["concordance"].value
    assert found is None if not total else found == pytest.approx(right / total, abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(size=st.integers(0, 400), seed=st.integers(0, 2**20), minimum=st.integers(1, 12))
def test_no_count_below_the_minimum_leaves(size, seed, minimum) -> None:
    for name, table in pooled([site(seed, size)], minimum).items():
        counts = table[0][:1] if name == "pairs" else [n for row in table for n in row]
        assert all(n == 0 or n >= minimum for n in counts)


def test_pairs_leave_only_where_enough_patients_had_the_event() -> None:
    times, risks = np.arange(1.0, 41), np.arange(40.0)
    for died in (1, 4, 5):
        sums = pooled([(times, np.arange(40) < died, risks)], minimum=5)
        assert ("pairs" in sums) == (died == 5)


def test_coarse_tables_give_a_dash_and_the_error_that_would_be() -> None:
    sums = pooled([site(1, 300)])
    coarse = {**sums, "risks": tables.coarsen(sums["risks"], (2, 4))}
    fine = VIEW.figures(sums)
    found = VIEW.figures(coarse)
    assert fine["binned"].value is not None and fine["binned"].note.startswith("± 0.0")
    assert found["binned"].value is None and found["binned"].note.endswith("2 bins: too few")
    assert found["low"].value is not None


def test_what_is_undefined_is_a_dash() -> None:
    assert all(figure.value is None for figure in VIEW.figures({}).values())
    lost = (np.array([3.0, 9.0]), np.array([False, False]), np.array([1.0, 2.0]))
    found = VIEW.figures(pooled([lost]))
    assert all(figure.value is None for figure in found.values())  # nobody is seen until the end
    died = (np.array([3.0, 9.0]), np.array([True, True]), np.array([1.0, 2.0]))
    found = VIEW.figures(pooled([died]))
    assert (found["survival"].value, found["concordance"].value) == (0, 0)
    assert found["log_rank"].value is None  # all are at high risk


def test_the_horizon_and_its_last_moment() -> None:
    times = np.array([0.0, 3.75, 3.76, 60.0, 60.1, 90.0])
    events = np.array([True, True, True, True, True, False])
    (row,) = count(times, events, np.zeros(6), HORIZON)["times"]
    assert (row[0], row[1], row[15], row[31]) == (2, 1, 1, 2)


def test_charts_show_each_group_with_its_interval() -> None:
    a, b = site(1, 200), site(2, 90)
    shown = {"north": Shown(pooled([b]), 0), "all sites": Shown(pooled([a, b]), None)}
    north, both = VIEW.charts("Federation", shown)
    assert (north.title, both.title) == ("Federation: north", "Federation: all sites")
    names = [line.series.name for line in both.lines]
    assert names[::3] == ["low risk", "high risk"]
    assert names[1] == "low risk, 95 % interval"
    (alone,) = VIEW.charts("", {"south": Shown({"times": pooled([a])["times"]}, 0)})
    assert alone.lines[0].series.name == "all patients"
    assert not VIEW.charts("", {"south": Shown({}, 0)})
