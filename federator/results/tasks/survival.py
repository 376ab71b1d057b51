"""Survival: Kaplan-Meier, log-rank and concordance, from patients counted by risk and interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erfc, exp, log, sqrt
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.results.drawing import plots
from federator.results.drawing.plots import Chart, Point, Series
from federator.results.tasks.base import EXACT, AllLimits, Column, Figure, Shown, View
from federator.results.tasks.intervals import Z
from federator.runtime.protocol.evaluation.tables import Table, Tables

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
COARSEST = 0.1  # a concordance that may be off by more tells nothing: 0.5 is chance, 0.7 is good
_NONE = Figure(None)


class SurvivalView(View):
    """Figures of all patients, and of two groups: risk below 0 (low), and risk from 0 (high)."""

    columns: ClassVar[Mapping[str, Column]] = {
        "concordance": Column("C-index within sites", short="C-index"),
        "binned": Column("C-index of all pairs", short="C, binned", table="risks"),
        "survival": Column("Survival", ""),
        "low": Column("Survival, low risk", "", "Low risk"),
        "high": Column("Survival, high risk", "", "High risk"),
        "log_rank": Column("Log-rank χ²", short="Log-rank", table="risks"),
    }
    headline: ClassVar[tuple[str, ...]] = ("concordance",)
    chart_table = "risks"
    chart_title: ClassVar[str] = "Kaplan-Meier"
    chart_lead: ClassVar[str] = (
        "Survival of the patients at low risk (below 0) and at high risk (from 0), from counts of "
        "events and ends in intervals: no patient’s time has left a site. Dashed, the 95 % "
        "interval (Greenwood, of log(−log S)). Where a site’s counts by risk are too small to "
        "leave (min_cell_count), the curve is of all its patients."
    )
    chart_none: ClassVar[str] = (
        "Not available: a site gives no counts where the smallest would show single patients "
        "(min_cell_count)."
    )

    @property
    def caption(self) -> str:
        """What the figures are, and how exact."""
        until = f" ({self.settings.horizon:g})" if self.settings.horizon else ""
        return (
            f"Survival is that at the horizon{until}, of times in intervals: who leaves in one "
            "counts until its end; in small print the 95 % interval (Greenwood). The C-index "
            "(Harrell) within sites is exact. That of all pairs follows from bins of risk and "
            "intervals of time, and differs by at most what stands in small print from that of "
            f"exact values: where this is more than {COARSEST}, it is a dash. The log-rank test "
            "compares low risk (below 0) with high."
        )

    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return the figures; survival is that at the horizon, at the end of the last interval."""
        del limits  # there are no matrices
        found = dict.fromkeys(self.columns, _NONE)
        if pairs := tables.get("pairs"):
            found["concordance"] = Figure(within_sites(pairs[0]))
        if times := tables.get("times"):
            found["survival"] = at_end(np.asarray(times[0]))
        if risks := tables.get("risks"):
            low, high = groups(risks)
            found["low"], found["high"] = at_end(low), at_end(high)
            if (statistic := log_rank(low, high)) is not None:
                found["log_rank"] = Figure(statistic, note=f"p = {p_value(statistic):.2g}")
            if (binned := concordance(risks)) is not None:
                fine = binned.error <= COARSEST
                note = f"± {binned.error:.3f}, {len(risks)} bins{'' if fine else ': too few'}"
                found["binned"] = Figure(binned.value if fine else None, note=note)
        return found

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw Kaplan-Meier curves by risk group, with their 95 % intervals: a chart of each."""
        charts = []
        for name, each in shown.items():
            curves: dict[str, Counts] = {}
            if risks := each.tables.get("risks"):
                low, high = groups(risks)
                curves = {"low risk": low, "high risk": high}
            elif times := each.tables.get("times"):
                curves = {"all patients": np.asarray(times[0])}
            lines: list[Series] = []
            for number, (group, counts) in enumerate(curves.items()):
                lines += _lines(group, number, kaplan_meier(counts), self.settings.horizon)
            x_name = "Time" if self.settings.horizon else "Interval"
            charts.append(plots.chart(f"{title}: {name}", x_name, lines, (0.0, 1.0)))
        return [chart for chart in charts if chart]


class Step(NamedTuple):
    """The curve at the end of an interval: at risk and events in it, and survival thereafter.

    ``low`` and ``high`` are the 95 % interval; None where survival is 1 or 0.
    """

    at_risk: int
    events: int
    survival: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Concordance:
    """A concordance, and by how much at most it differs from that of exact times and risks."""

    value: float
    error: float


def groups(risks: Table) -> tuple[Counts, Counts]:
    """Return events, then ends without one, by interval, of the lower and the higher half of bins.

    The halves meet at a risk of 0, where 1 / (1 + exp(-risk)) is one half.
    """
    table = np.asarray(risks, dtype=np.int64)
    half = len(table) // 2
    return table[:half].sum(axis=0), table[half:].sum(axis=0)


def kaplan_meier(counts: Counts) -> list[Step]:
    """Return the Kaplan-Meier curve of times in intervals (JASA 1958;53:457).

    Who ends without an event in an interval counts as at risk until its end. The variance is
    Greenwood's (1926), the interval that of log(-log S) (Kalbfleisch and Prentice, 1980).

    Args:
        counts: events, then ends without one, by interval: of shape (2 x intervals,).
    """
    steps = []
    survival, variance = 1.0, 0.0
    for at_risk, events in zip(*_at_risk(counts), strict=True):
        if at_risk:
            survival *= 1 - events / at_risk
            variance += events / (at_risk * (at_risk - events)) if events < at_risk else 0.0
        low = high = None
        if 0 < survival < 1:
            width = Z * sqrt(variance) / abs(log(survival))
            low, high = survival ** exp(width), survival ** exp(-width)
        steps.append(Step(int(at_risk), int(events), survival, low, high))
    return steps


def at_end(counts: Counts) -> Figure:
    """Return survival at the horizon; undefined where nobody is at risk until then."""
    last = kaplan_meier(counts)[-1]
    known = last.at_risk or last.survival == 0
    return Figure(last.survival, last.low, last.high) if known else _NONE


def log_rank(low: Counts, high: Counts) -> float | None:
    """Return the log-rank statistic (χ², 1 degree of freedom); None where it is undefined.

    Source: Mantel, Cancer Chemotherapy Reports 1966;50:163, with the hypergeometric variance.
    """
    (first, died), (second, others) = _at_risk(low), _at_risk(high)
    n, d = (first + second).astype(float), (died + others).astype(float)
    known = n > 1
    n, d, share = n[known], d[known], first[known] / n[known]
    difference = float((died[known] - d * share).sum())
    variance = float((d * share * (1 - share) * (n - d) / (n - 1)).sum())
    return difference**2 / variance if variance > 0 else None


def p_value(statistic: float) -> float:
    """Return the probability of a larger χ² with 1 degree of freedom."""
    return erfc(sqrt(statistic / 2))


def within_sites(row: Sequence[float]) -> float | None:
    """Return Harrell's concordance of pairs of one site, exact; None where no pair is comparable.

    Args:
        row: events, concordant pairs, pairs of one risk (which count half), comparable pairs.
    """
    _, concordant, tied, comparable = row
    return (concordant + tied / 2) / comparable if comparable else None


def concordance(risks: Table) -> Concordance | None:
    """Return Harrell's concordance of all pairs, from the bins (JAMA 1982;247:2543).

    The value is that of times in intervals and risks in bins: two risks of one bin count half, and
    who ends without an event in an interval stays until its end. The error holds for the most
    unfavourable order within bins and intervals: of a pair that shares a bin it is unknown whether
    it is concordant; of one that shares an interval, whether it is comparable.

    Args:
        risks: rows are bins of rising risk; columns events, then ends without one, by interval.
    """
    events, ends = np.split(np.asarray(risks, dtype=np.float64), 2, axis=1)
    everyone = events + ends
    later = np.cumsum(everyone[:, ::-1], axis=1)[:, ::-1] - everyone
    sure, together = _pairs(events, later), _pairs(events, ends)
    comparable = sure.all + together.all
    if not comparable:
        return None
    value = (sure.above + together.above + (sure.same + together.same) / 2) / comparable
    deaths = events.sum(axis=0)
    both = float((deaths * (deaths - 1) / 2).sum())  # events of one interval: either may be first
    wrong = both + together.all - together.above  # comparable or not, but not concordant
    right = both + together.above + together.same
    lowest = sure.above / (sure.all + wrong) if sure.all + wrong else 1.0
    highest = (sure.above + sure.same + right) / (sure.all + right) if sure.all + right else 0.0
    return Concordance(value, max(value - lowest, highest - value))


class _Pairs(NamedTuple):
    """Pairs of a patient with an event and another: all, and those by the bin of the first."""

    all: float
    above: float
    same: float


def _pairs(events: Numbers, others: Numbers) -> _Pairs:
    """Count pairs of an event and another patient of the same column, of shape (bins, columns)."""
    below = np.cumsum(others, axis=0) - others
    total = float((events.sum(axis=0) * others.sum(axis=0)).sum())
    return _Pairs(total, float((events * below).sum()), float((events * others).sum()))


def _at_risk(counts: Counts) -> tuple[Counts, Counts]:
    """Return who is at risk in each interval, and who has the event in it."""
    events, ends = np.split(np.asarray(counts, dtype=np.int64), 2)
    everyone = events + ends
    return np.cumsum(everyone[::-1])[::-1], events


def _lines(name: str, number: int, steps: Sequence[Step], horizon: float | None) -> list[Series]:
    """Draw a curve in steps, and the ends of its intervals dashed; over time if it is known."""
    width = horizon / len(steps) if horizon else 1.0
    curve, low, high = [Point(0.0, 1.0, "at the start")], [], []
    for place, step in enumerate(steps, 1):
        if not step.at_risk:
            break
        x, tip = place * width, f"{step.survival:.3f}, {step.events} events of {step.at_risk}"
        curve += [Point(x, curve[-1].y, tip), Point(x, step.survival, tip)]
        low.append(Point(x, step.low, "95 % interval"))
        high.append(Point(x, step.high, "95 % interval"))
    ends = [Series(f"{name}, 95 % interval", number, points, True) for points in (low, high)]
    return [Series(name, number, curve), *ends]
