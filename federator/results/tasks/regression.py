"""Regression: errors, agreement and calibration of each target, from sums over examples."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import ClassVar

from federator.results.drawing import plots
from federator.results.drawing.plots import Chart, Point, Series
from federator.results.tasks.base import EXACT, AllLimits, Column, Figure, Shown, View
from federator.results.tasks.intervals import Z, deviation, of_mean, student
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import ERROR_SUMS, middle

_NONE = Figure(None)
# Relative: a sum of six digits, as sites give it by default, is off by 5e-6 at most; of the
# difference of a sum of squares and a squared sum three times that may be rounding.
_DIGITS = 1.5e-5
_LIMITS = {"lower": "lower limit", "bias": "bias", "upper": "upper limit"}


class RegressionView(View):
    """Figures of each target; over several, which have units of their own, the mean R² only."""

    columns: ClassVar[Mapping[str, Column]] = {
        "mae": Column("MAE", "lower"),
        "rmse": Column("RMSE", "lower"),
        "r2": Column("R²"),
        "bias": Column("Bias", ""),
        "lower": Column("Lower limit", "", "Lower"),
        "upper": Column("Upper limit", "", "Upper"),
        "slope": Column("Slope", "", table="calibration"),
        "intercept": Column("Intercept", "", table="calibration"),
    }
    headline: ClassVar[tuple[str, ...]] = ("mae", "r2")
    part: ClassVar[str] = "Target"
    chart_table = "calibration"
    chart_title: ClassVar[str] = "Calibration and agreement"
    chart_lead: ClassVar[str] = (
        "From predictions that each site counted in bins: no patient’s value has left a site. "
        "Calibration: the mean truth of a bin over its mean prediction; dashed where both are the "
        "same. Agreement (Bland and Altman): the mean error of a bin, prediction − truth, over the "
        "mean of both; dashed the bias and the limits of agreement over all examples."
    )
    chart_none: ClassVar[str] = (
        "Not available: a site gives no bins where the smallest would show single patients "
        "(min_cell_count)."
    )

    @property
    def caption(self) -> str:
        """What limits, slope and intercept are."""
        several = "R² is the mean over the targets; the other figures stand by target. "
        return (
            f"{several if len(self.settings.names) > 1 else ''}In the unit of the data. Bias is "
            "the mean of prediction − truth; 95 % of the errors lie between the limits of "
            "agreement if they are normally distributed; slope and intercept are those of truth "
            "over prediction (1 and 0 where calibrated). In small print the 95 % interval."
        )

    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return the figures of the target; of several, the mean of their R² where all have one."""
        del limits  # there are no matrices
        each = [self._target(tables, k) for k in range(len(self.settings.names))]
        if len(each) == 1:
            return each[0]
        found = [one["r2"].value for one in each]
        known = [value for value in found if value is not None]
        mean = sum(known) / len(known) if known and len(known) == len(found) else None
        return {**dict.fromkeys(self.columns, _NONE), "r2": Figure(mean)}

    def parts(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, dict[str, Figure]]:
        """Return the figures of each target by its name; empty if there is one."""
        del limits  # there are no matrices
        if len(self.settings.names) < 2:
            return {}
        return {name: self._target(tables, k) for k, name in enumerate(self.settings.names)}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw calibration and agreement (Bland and Altman) of each target, by bins."""
        charts = []
        for k, target in enumerate(self.settings.names):
            of = f", {target}" if len(self.settings.names) > 1 else ""
            binned = {
                name: (each, table)
                for name, each in shown.items()
                if (table := each.tables.get(f"calibration.{k}"))
            }
            lines = [_calibration(binned), _agreement(binned, k)]
            named = [("calibration", "Mean prediction"), ("agreement", "Mean of both")]
            for (what, x_name), series in zip(named, lines, strict=True):
                charts.append(plots.chart(f"{title}: {what}{of}", x_name, series))
        return [chart for chart in charts if chart]

    def _target(self, tables: Tables, k: int) -> dict[str, Figure]:
        table = tables.get(f"errors.{k}")
        if not table:
            return dict.fromkeys(self.columns, _NONE)
        return summarise(table[0], middle(*self.settings.ranges[k]))


def summarise(row: Sequence[float], origin: float) -> dict[str, Figure]:
    """Return the figures of one target, from its sums (``ERROR_SUMS``).

    Args:
        row: the sums.
        origin: the value that truths and predictions are summed from.

    With e = prediction - truth over n examples:

    - MAE: mean of |e|; RMSE: square root of the mean of e²; bias: mean of e. MAE and bias with the
      95 % interval of a mean, by Student's t.
    - R²: 1 - sum(e²) / sum((truth - mean)²); undefined where all truths are the same, as far as
      the digits of the sums show.
    - Limits of agreement: bias ± 1.96 s, where s is the standard deviation of e; the standard error
      of each limit is s sqrt(3 / n) (Bland and Altman, Lancet 1986;327:307).
    - Calibration: the line truth = intercept + slope x prediction by least squares; 1 and 0 where
      it is right (Cox, Biometrika 1958;45:562). Undefined where all predictions are the same.
    """
    sums = dict(zip(ERROR_SUMS, row, strict=True))
    n = int(sums["n"])
    if n < 1:
        return dict.fromkeys(RegressionView.columns, _NONE)
    spread = deviation(n, sums["error"], sums["squared"])
    truths = _around(n, sums["truth"], sums["truth_squared"])
    predictions = _around(n, sums["prediction"], sums["prediction_squared"])
    slope = intercept = None
    if predictions:
        slope = (sums["product"] - sums["truth"] * sums["prediction"] / n) / predictions
        intercept = (sums["truth"] - slope * sums["prediction"]) / n + origin * (1 - slope)
    return {
        "mae": of_mean(n, sums["absolute"], sums["squared"]),
        "rmse": Figure(sqrt(max(0.0, sums["squared"] / n))),
        "r2": Figure(1 - sums["squared"] / truths if truths else None),
        "bias": of_mean(n, sums["error"], sums["squared"]),
        "lower": _limit(n, sums["error"] / n, spread, -1),
        "upper": _limit(n, sums["error"] / n, spread, 1),
        "slope": Figure(slope),
        "intercept": Figure(intercept),
    }


def _around(n: int, total: float, squared: float) -> float:
    """Return the sum of the squared deviations from the mean; 0 where it may be rounding alone."""
    around = squared - total**2 / n
    return around if around > _DIGITS * squared else 0.0


def _limit(n: int, bias: float, spread: float | None, side: int) -> Figure:
    """Return a limit of agreement with its 95 % interval; undefined for a single example."""
    if spread is None:
        return _NONE
    limit, within = bias + side * Z * spread, student(n - 1) * spread * sqrt(3 / n)
    return Figure(limit, limit - within, limit + within)


def _columns(table: Table) -> Iterator[tuple[int, float, float, float]]:
    """Give count, and means of prediction, truth and squared error, of each bin with examples."""
    for n, prediction, truth, squared in zip(*table, strict=True):
        if n:
            yield int(n), prediction / n, truth / n, squared / n


def _calibration(binned: Mapping[str, tuple[Shown, Table]]) -> list[Series]:
    lines = []
    for name, (each, table) in binned.items():
        points = [
            Point(x, y, f"predicted {x:.3g}, true {y:.3g} (n = {n})")
            for n, x, y, _ in _columns(table)
        ]
        lines.append(Series(name, each.site, points, each.dashed))
    ends = _ends(lines)
    same = [Point(x, x, "as predicted") for x in ends]
    return [*lines, Series("as predicted", None, same, dashed=True)] if ends else []


def _agreement(binned: Mapping[str, tuple[Shown, Table]], target: int) -> list[Series]:
    """Draw mean errors by bin; and bias and limits of all sites', or else of the last."""
    lines = []
    for name, (each, table) in binned.items():
        points = []
        for n, prediction, truth, squared in _columns(table):
            error = prediction - truth
            tip = f"bias {error:.3g}, RMSE {sqrt(max(0.0, squared)):.3g} (n = {n})"
            points.append(Point((prediction + truth) / 2, error, tip))
        lines.append(Series(name, each.site, points, each.dashed))
    if ends := _ends(lines):
        every = [one for one in binned if binned[one][0].site is None] or list(binned)
        sums = binned[every[-1]][0].tables.get(f"errors.{target}")
        found = summarise(sums[0], 0.0) if sums else {}  # the limits are those of any origin
        for key in _LIMITS if found else ():
            if (value := found[key].value) is not None:
                level = [Point(x, value, f"{value:.3g}") for x in ends]
                lines.append(Series(f"{every[-1]}, {_LIMITS[key]}", None, level, dashed=True))
    return lines


def _ends(lines: Sequence[Series]) -> list[float]:
    """Return the smallest and the largest x of all points; nothing where there is no point."""
    places = [point.x for line in lines for point in line.points]
    return [min(places), max(places)] if places else []
