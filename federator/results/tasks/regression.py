"""Regression: errors, agreement and calibration of each target, from sums over examples."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import ClassVar

from federator.results import plots
from federator.results.plots import Chart, Point, Series
from federator.results.tasks.base import Column, Figure, Shown, View
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import ERROR_SUMS

_Z = 1.959964  # of a normal distribution, 95 % lie within so many standard deviations
_NOISE = 1e-12  # relative: of a difference of two sums, what rounding alone may leave
_NONE = Figure(None)


class RegressionView(View):
    """Figures of each target; over several, which have units of their own, the mean R² only."""

    columns: ClassVar[Mapping[str, Column]] = {
        "mae": Column("MAE", "lower"),
        "rmse": Column("RMSE", "lower"),
        "r2": Column("R²"),
        "bias": Column("Bias", ""),
        "lower": Column("Lower limit", ""),
        "upper": Column("Upper limit", ""),
        "slope": Column("Slope", ""),
        "intercept": Column("Intercept", ""),
    }
    headline: ClassVar[tuple[str, ...]] = ("mae", "r2")
    part: ClassVar[str] = "Target"

    def figures(self, tables: Tables) -> dict[str, Figure]:
        """Return the figures of the target; of several, the mean of their R² where all have one."""
        each = [self._target(tables, k) for k in range(len(self.names.labels))]
        if len(each) == 1:
            return each[0]
        found = [one["r2"].value for one in each]
        known = [value for value in found if value is not None]
        mean = sum(known) / len(known) if known and len(known) == len(found) else None
        return {**dict.fromkeys(self.columns, _NONE), "r2": Figure(mean)}

    def parts(self, tables: Tables) -> dict[str, dict[str, Figure]]:
        """Return the figures of each target by its name; empty if there is one."""
        if len(self.names.labels) < 2:
            return {}
        return {name: self._target(tables, k) for k, name in enumerate(self.names.labels)}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw calibration and agreement (Bland and Altman) of each target, by bins."""
        charts = []
        given = {name: each.tables for name, each in shown.items()}
        for k, name in enumerate(self.names.labels):
            of = f": {name}" if len(self.names.labels) > 1 else ""
            binned = {
                label: table
                for label, tables in given.items()
                if (table := tables.get(f"calibration.{k}"))
            }
            charts += [
                plots.chart(f"Calibration{of}. {title}", "Mean prediction", _calibration(binned)),
                plots.chart(
                    f"Bland-Altman{of}. {title}", "Mean of both", _agreement(binned, given, k)
                ),
            ]
        return [chart for chart in charts if chart]

    def _target(self, tables: Tables, k: int) -> dict[str, Figure]:
        table = tables.get(f"errors.{k}")
        return summarise(table[0]) if table else dict.fromkeys(self.columns, _NONE)


def summarise(row: Sequence[float]) -> dict[str, Figure]:
    """Return the figures of one target, from its sums (``ERROR_SUMS``).

    With e = prediction - truth over n examples:

    - MAE: mean of |e|; RMSE: square root of the mean of e²; bias: mean of e. MAE and bias with the
      95 % interval of a mean, by Student's t.
    - R²: 1 - sum(e²) / sum((truth - mean)²); undefined where all truths are the same.
    - Limits of agreement: bias ± 1.96 s, where s is the standard deviation of e; the standard error
      of each limit is s sqrt(3 / n) (Bland and Altman, Lancet 1986;327:307).
    - Calibration: the line truth = intercept + slope x prediction by least squares; 1 and 0 where
      it is right (Cox, Biometrika 1958;45:562). Undefined where all predictions are the same.
    """
    sums = dict(zip(ERROR_SUMS, row, strict=True))
    n = int(sums["n"])
    if n < 1:
        return dict.fromkeys(RegressionView.columns, _NONE)
    bias = sums["error"] / n
    spread = _deviation(n, sums["error"], sums["squared"])
    truths = _squares(n, sums["truth"], sums["truth_squared"])
    predictions = _squares(n, sums["prediction"], sums["prediction_squared"])
    both = sums["product"] - sums["truth"] * sums["prediction"] / n
    slope = both / predictions if predictions else None
    within = student(n - 1) * sqrt(3 / n) * spread if spread is not None else None
    lower, upper = (
        Figure(None)
        if spread is None or within is None
        else Figure(limit := bias + side * _Z * spread, limit - within, limit + within)
        for side in (-1, 1)
    )
    return {
        "mae": _mean(n, sums["absolute"], sums["squared"]),
        "rmse": Figure(sqrt(max(0.0, sums["squared"] / n))),
        "r2": Figure(1 - sums["squared"] / truths if truths else None),
        "bias": _mean(n, sums["error"], sums["squared"]),
        "lower": lower,
        "upper": upper,
        "slope": Figure(slope),
        "intercept": Figure(
            None if slope is None else (sums["truth"] - slope * sums["prediction"]) / n
        ),
    }


def student(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, by its expansion around the normal one.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5. From 4 degrees of
    freedom on it is right to 0.001.
    """
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, 1))


def _squares(n: int, total: float, squared: float) -> float:
    """Return the sum of squared deviations from the mean; 0 where it is rounding alone."""
    found = squared - total**2 / n
    return found if found > _NOISE * squared else 0.0


def _deviation(n: int, total: float, squared: float) -> float | None:
    return sqrt(_squares(n, total, squared) / (n - 1)) if n > 1 else None


def _mean(n: int, total: float, squared: float) -> Figure:
    """Return a mean with its 95 % interval, from a sum and a sum of squares."""
    mean, spread = total / n, _deviation(n, total, squared)
    if spread is None:
        return Figure(mean)
    within = student(n - 1) * spread / sqrt(n)
    return Figure(mean, mean - within, mean + within)


def _columns(table: Table) -> Iterator[tuple[int, float, float, float]]:
    """Give count, and means of prediction, truth and squared error, of each bin with examples."""
    for n, prediction, truth, squared in zip(*table, strict=True):
        if n:
            yield int(n), prediction / n, truth / n, squared / n


def _calibration(binned: Mapping[str, Table]) -> list[Series]:
    lines, ends = [], []
    for number, (name, table) in enumerate(binned.items()):
        points = [
            Point(x, y, f"predicted {x:.3g}, true {y:.3g} (n = {n})")
            for n, x, y, _ in _columns(table)
        ]
        ends += [point.x for point in points]
        lines.append(Series(name, number, points))
    if ends:
        ideal = [Point(x, x, "as predicted") for x in (min(ends), max(ends))]
        lines.append(Series("ideal", None, ideal, dashed=True))
    return lines


def _agreement(
    binned: Mapping[str, Table], shown: Mapping[str, Tables], target: int
) -> list[Series]:
    """Draw the mean error by bin over the mean of prediction and truth, and the first's limits."""
    lines, ends = [], []
    for number, (name, table) in enumerate(binned.items()):
        points = []
        for n, prediction, truth, squared in _columns(table):
            error = prediction - truth
            tip = f"bias {error:.3g}, RMSE {sqrt(max(0.0, squared)):.3g} (n = {n})"
            points.append(Point((prediction + truth) / 2, error, tip))
        ends += [point.x for point in points]
        lines.append(Series(name, number, points))
    for name in list(binned)[:1]:
        found = summarise(shown[name][f"errors.{target}"][0])
        for key, title in {"lower": "Lower limit", "bias": "Bias", "upper": "Upper limit"}.items():
            if (value := found[key].value) is not None and ends:
                level = [Point(x, value, f"{value:.3g}") for x in (min(ends), max(ends))]
                lines.append(Series(f"{title}, {name}", None, level, dashed=True))
    return lines
