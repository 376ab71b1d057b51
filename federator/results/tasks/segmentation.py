"""The figures of a segmentation: overlap by case, and voxels of each class."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, NamedTuple

import numpy as np

from federator.results.drawing import plots
from federator.results.drawing.plots import Chart, Point, Series
from federator.results.tasks import intervals
from federator.results.tasks.base import EXACT, AllLimits, Column, Figure, Shown, View
from federator.runtime.protocol.evaluation.settings import Surfaces
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import OVERLAP_SUMS, VOXEL_SUMS

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the cases: ends of the whiskers, box and its line


class SegmentationView(View):
    """Of each class but the background; over several, the mean of their figures (macro)."""

    columns: ClassVar[Mapping[str, Column]] = {
        "dice": Column("Dice"),
        "iou": Column("IoU"),
        "sensitivity": Column("Voxel sensitivity", short="Voxel sens."),
        "ppv": Column("Voxel PPV"),
    }
    headline = ("dice", "iou")
    part = "Class"
    chart_title = "Dice by case"
    chart_table = "histogram"
    chart_lead = (
        "The box holds the middle half of the cases, with a line at the median; the whiskers hold "
        "90 %. They are read from counts of cases in bins of the Dice coefficient, and are right "
        "to the width of a bin: no case’s value has left a site."
    )
    chart_none = (
        "Not available: no counts of cases. A site gives none where its smallest bins would show "
        "single cases (min_cell_count)."
    )

    @property
    def caption(self) -> str:
        """What is a mean over cases, and what a share of voxels."""
        several = len(self.settings.names) > 2
        over = " Over several classes it is the mean of their figures, with the widest interval "
        return (
            "Dice and IoU are means over the cases in which the class is drawn or predicted, with "
            "the 95 % interval of a mean (Student’s t). Sensitivity and PPV are shares of all "
            "voxels together, which have no interval: voxels of a case are not independent. The "
            "background is left out."
            + (over + "that dependent classes can have." if several else "")
        )

    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return the mean over the classes, without the background, for which it is defined.

        The error of a mean of K figures is at most the mean of their errors, however they depend
        on one another (they are of the same cases): so wide is the interval.
        """
        del limits  # there are no matrices
        each = [self._class(tables, k) for k in self._classes]
        return {name: _macro([one[name] for one in each]) for name in self.columns}

    def parts(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, dict[str, Figure]]:
        """Return the figures of each class; empty if there is one beside the background."""
        del limits  # there are no matrices
        if len(self._classes) < 2:
            return {}
        return {self.settings.names[k]: self._class(tables, k) for k in self._classes}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw a box of the cases' Dice for each class, and within it for each of ``shown``."""
        chart = self._boxes(title, shown, "histogram", 1.0)
        return [chart] if chart else []

    def _boxes(
        self, title: str, shown: Mapping[str, Shown], table: str, most: float
    ) -> Chart | None:
        """Draw boxes of a value's histograms, whose bins end at ``most``."""
        boxes = []
        for place, (name, each) in enumerate(shown.items()):
            tables = {k: found for k in self._classes if (found := each.tables.get(f"{table}.{k}"))}
            offset = (place + 0.5) / len(shown) - 0.5
            points = _box_points(tables, most, 0.8 * offset, 0.3 / len(shown))
            if points:
                boxes.append(Series(name, each.site, points, each.dashed))
        names = {k: self.settings.names[k] for k in self._classes}
        return _box_chart(title, boxes, names, most) if boxes else None

    @property
    def _classes(self) -> range:
        return range(1, max(2, len(self.settings.names)))

    def _class(self, tables: Tables, k: int) -> dict[str, Figure]:
        """Return the figures of a class.

        Voxel sensitivity is TP / (TP + FN), voxel PPV TP / (TP + FP), over the voxels of all
        cases (Taha and Hanbury, BMC Medical Imaging 2015;15:29).
        """
        found = dict.fromkeys(self.columns, Figure(None))
        if overlap := tables.get(f"overlap.{k}"):
            sums = dict(zip(OVERLAP_SUMS, overlap[0], strict=True))
            n = int(sums["cases"])
            for name in ("dice", "iou"):
                mean = intervals.of_mean(n, sums[name], sums[f"{name}_squared"])
                found[name] = _within(mean)
        if voxels := tables.get(f"voxels.{k}"):
            counted = dict(zip(VOXEL_SUMS, voxels[0], strict=True))
            right = counted["true_positive"]
            for name, wrong in (("sensitivity", "false_negative"), ("ppv", "false_positive")):
                total = right + counted[wrong]
                found[name] = Figure(right / total if total else None)
        return found


class SurfacesView(SegmentationView):
    """With the HD95 of each class but the background, where the federation file asks for it."""

    columns: ClassVar[Mapping[str, Column]] = {
        **SegmentationView.columns,
        "hd95": Column("HD95", "lower"),
    }
    chart_title = "Dice and HD95 by case"
    chart_lead = SegmentationView.chart_lead.replace(
        "the Dice coefficient", "the Dice coefficient, and of the HD95"
    )

    @property
    def caption(self) -> str:
        """What the HD95 is, and what counts as the largest, too."""
        surfaces = self._surfaces
        return (
            f"{super().caption} HD95 is the 95 % Hausdorff distance in {surfaces.unit}: the mean "
            "over the same cases of the test sets, with its interval. Distances beyond "
            f"{surfaces}, and cases in which a class is only drawn or only predicted, count as "
            f"{surfaces}."
        )

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw boxes of the cases' Dice, and of their HD95."""
        surfaces = self._surfaces
        chart = self._boxes(f"{title}: HD95 ({surfaces.unit})", shown, "distances", surfaces.limit)
        return [*super().charts(f"{title}: Dice", shown), *([chart] if chart else [])]

    @property
    def _surfaces(self) -> Surfaces:
        assert self.settings.surfaces is not None, "else it is another view"
        return self.settings.surfaces

    def _class(self, tables: Tables, k: int) -> dict[str, Figure]:
        found = super()._class(tables, k)
        if distances := tables.get(f"surfaces.{k}"):
            n, total, squared = distances[0]
            mean = intervals.of_mean(int(n), total, squared)
            found["hd95"] = _within(mean, self._surfaces.limit)
        return found


class Quantiles(NamedTuple):
    """Of a histogram: values below which 5, 25, 50, 75 and 95 % of the cases lie; their number."""

    values: tuple[float, ...]
    cases: int


def quantiles(histogram: Table, most: float = 1.0) -> Quantiles | None:
    """Read quantiles from counts in bins of equal width; None where there is no case.

    Cases are taken to lie evenly within their bin, so that each value is in the right bin.

    Args:
        histogram: (1, bins).
        most: where the last bin ends; the first begins at 0.
    """
    counts = np.asarray(histogram[0], dtype=float)
    total = counts.sum()
    if not total:
        return None
    edges = np.linspace(0, most, len(counts) + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / total
    found = []
    for share in _SHARES:
        bin_ = int(np.searchsorted(below, share)) - 1  # the first bin that reaches the share
        part = (share - below[bin_]) / (below[bin_ + 1] - below[bin_])
        found.append(float(edges[bin_] + part * (edges[bin_ + 1] - edges[bin_])))
    return Quantiles(tuple(found), int(total))


def _macro(figures: Sequence[Figure]) -> Figure:
    known = [each for each in figures if each.value is not None]
    if not known:
        return Figure(None)
    values, lows, highs = (
        [getattr(each, name) for each in known] for name in ("value", "low", "high")
    )
    sure = None not in lows
    return Figure(
        sum(values) / len(known),
        sum(lows) / len(known) if sure else None,
        sum(highs) / len(known) if sure else None,
        f"over {len(known)} of {len(figures)} classes" if len(known) < len(figures) else "",
    )


def _within(mean: Figure, most: float = 1.0) -> Figure:
    if mean.low is None or mean.high is None:
        return mean
    return Figure(mean.value, max(0.0, mean.low), min(most, mean.high))


def _box_points(
    tables: Mapping[int, Table], most: float, offset: float, half: float
) -> list[Point]:
    """Trace the boxes of a model's classes; only the point at a median has a tip."""
    points: list[Point] = []
    for k, table in tables.items():
        if (found := quantiles(table, most)) is None:
            continue
        low, lower, median, upper, high = found.values
        x, of = k + offset, (k, "box")
        left, right = x - half, x + half
        tip = f"median {median:.2f}, half of the cases in {lower:.2f} to {upper:.2f} "
        line = (k, "median")
        points += [
            Point(left, median, of=line),
            Point(x, median, f"{tip}(n = {found.cases})", of=line),
            Point(right, median, of=line),
        ]
        corners = [
            (x, low), (x, lower), (left, lower), (left, upper), (x, upper), (x, high),
            (x, upper), (right, upper), (right, lower), (x, lower),
        ]  # fmt: skip
        points += [Point(*corner, of=of) for corner in corners]
    return points


def _box_chart(
    title: str, boxes: Sequence[Series], names: Mapping[int, str], most: float
) -> Chart | None:
    """Lay out boxes over the classes' names; of their points only the medians are shown."""
    ends = Series("", None, [Point(x, None) for x in (min(names) - 0.5, max(names) + 0.5)])
    chart = plots.chart(title, "Class", [ends, *boxes], (0.0, most))
    if chart is None:
        return None
    lines = [
        replace(line, points=[point for point in line.points if point.tip])
        for line in chart.lines[1:]
    ]
    wide = (plots.WIDTH - plots.LEFT - plots.RIGHT) / len(names)
    ticks = [
        (round(plots.LEFT + (place + 0.5) * wide, 2), _short(name, wide))
        for place, name in enumerate(names.values())
    ]
    return replace(chart, lines=lines, x_ticks=ticks)


def _short(name: str, wide: float) -> str:
    most = max(3, int(wide / 7))  # a letter is some 7 units wide
    return name if len(name) <= most else f"{name[: most - 1]}…"
