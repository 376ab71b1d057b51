"""The figures of a classification: six metrics and the area under the ROC curve."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from federator.common import figures
from federator.results.drawing import plots
from federator.results.drawing.plots import Chart, Point, Series
from federator.results.tasks import calibration, counts, intervals
from federator.results.tasks.base import EXACT, AllLimits, Column, Figure, Shown, View
from federator.runtime.protocol.evaluation.rounding import Limits
from federator.runtime.protocol.evaluation.tables import Tables


class ClassificationView(View):
    """Of two labels, the positive one's figures; of more, each is the mean over the labels."""

    columns: ClassVar[Mapping[str, Column]] = {
        "sensitivity": Column("Sensitivity", short="Sens."),
        "specificity": Column("Specificity", short="Spec."),
        "ppv": Column("PPV"),
        "npv": Column("NPV"),
        "f1": Column("F1"),
        "accuracy": Column("Accuracy"),
        "auc": Column("AUC", table="scores"),
    }
    headline = ("accuracy", "f1")
    chart_title = "ROC and calibration"
    chart_table = "scores"
    chart_lead = (
        "Sensitivity against 1 − specificity, from scores that each site counted in bins of equal "
        "width: no patient’s score has left a site. The curve has one point a bin. Few bins (a "
        "small site joins its bins until no count is smaller than its min_cell_count) cut the "
        "corner of the curve, which mostly makes the area smaller; areas from different numbers "
        "of bins are not compared. Calibration: the share of examples that have the label, by "
        "score, in at most eight groups; ECE is the expected calibration error (right to half a "
        "bin), and a slope below 1 says that scores are too extreme."
    )
    chart_none = (
        "Not available: no scores of test sets. A site gives none where its smallest bins would "
        "show single patients (min_cell_count), or where the model has no score between 0 and 1."
    )

    @property
    def caption(self) -> str:
        """Which label is positive, or that the figures are means over the labels."""
        positive = self.settings.positive
        if positive is None:
            return (
                "Each value is the mean over the labels, one against the rest (macro average); "
                "accuracy is the share of correct predictions."
            )
        label = self.settings.names[positive]
        return (
            f"Positive is “{label}”. In small print the 95 % interval (Wilson; of the AUC, DeLong)."
        )

    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return the six metrics and the area, from counts of any sites together."""
        positive = self.settings.positive
        if positive is not None:
            return self._label(tables, limits, positive)
        each = [self._label(tables, limits, k) for k in range(len(self.settings.names))]
        return {name: mean_of([one[name] for one in each]) for name in self.columns}

    def parts(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, dict[str, Figure]]:
        """Return the figures of each of more than two labels, one against the rest."""
        if self.settings.positive is not None:
            return {}
        names = enumerate(self.settings.names)
        found = {name: self._label(tables, limits, k) for k, name in names}
        return {name: {**each, "accuracy": Figure(None)} for name, each in found.items()}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw ROC curve and calibration of the positive label; of each of more than two."""
        positive, found = self.settings.positive, list[Chart | None]()
        for k, name in enumerate(self.settings.names):
            if positive in (None, k):
                heading = title if positive is not None else f"{title}: {name}"
                found.append(roc_chart(heading, f"scores.{k}", shown))
                found.append(calibration.chart(f"{heading}, calibration", f"scores.{k}", shown))
        return [chart for chart in found if chart]

    def _label(self, tables: Tables, limits: AllLimits, k: int) -> dict[str, Figure]:
        scores = tables.get(f"scores.{k}")
        return of_label(tables.get("confusion"), scores, k, limits.get("confusion"))


def of_label(
    matrix: counts.Counts | None,
    scores: counts.Counts | None,
    label: int = 1,
    limits: Limits | None = None,
) -> dict[str, Figure]:
    """Return the six metrics and the area of a label against the rest, with intervals.

    Args:
        matrix: (K, K): rows the true label, columns the predicted one; None if there is none.
        scores: (2, bins): of the examples without the label, and of those with it; or None.
        label: its number in the matrix.
        limits: what its counts may have been, if they are rounded.
    """
    found = dict.fromkeys((*counts.NAMES, "auc"), Figure(None))
    if limits is not None:
        middle = counts.summarise(limits.middle, label)
        for name, each in counts.ranges(limits, label).items():
            figure = Figure(getattr(middle, name), each.low, each.high, "", each.least, each.most)
            found[name] = replace(figure, note="" if each.low is not None else by_rounding(figure))
    elif matrix is not None:
        metrics, sure = counts.summarise(matrix, label), counts.intervals(matrix, label)
        for name in counts.NAMES:
            found[name] = Figure(getattr(metrics, name), *sure.get(name, (None, None)))
    if scores is not None and (curve := counts.roc(scores)) is not None:
        low, high = intervals.of_area(scores) or (None, None)
        found["auc"] = Figure(curve.auc, low, high, f"{len(curve.fpr) - 1} bins")
    return found


def mean_of(found: Sequence[Figure]) -> Figure:
    """Return the mean of those figures that are defined, and say if some are not."""
    known = [one for one in found if one.value is not None]
    note = f"over {len(known)} of {len(found)} labels" if len(known) < len(found) else ""
    if not known:
        return Figure(None, note=note)
    values = [one.value for one in known if one.value is not None]
    mean = Figure(sum(values) / len(known), note=note)
    if all(one.least is None for one in known):
        return mean
    least = [one.value if one.least is None else one.least for one in known]
    most = [one.value if one.most is None else one.most for one in known]
    mean = replace(mean, least=_mean(least), most=_mean(most))
    return replace(mean, note=", ".join(filter(None, [note, by_rounding(mean)])))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def by_rounding(figure: Figure) -> str:
    """Say between which values a figure is, where counts are rounded, or have noise."""
    if figure.least is None or figure.most is None or figure.least == figure.most:
        return ""
    return f"{figures.number(figure.least)} to {figures.number(figure.most)} by rounding or noise"


def roc_chart(title: str, table: str, shown: Mapping[str, Shown]) -> Chart | None:
    """Draw the ROC curve of each model's scores in a table; None where there are none."""
    lines = []
    for name, each in shown.items():
        if (curve := counts.roc(each.tables.get(table))) is not None:
            lines.append(_line(name, each, curve))
    if not lines:
        return None
    square = plots.SQUARE  # as high as wide
    return plots.chart(title, "1 − specificity", lines, (0.0, 1.0), square, diagonal=True)


def _line(name: str, shown: Shown, curve: counts.Roc) -> Series:
    bins = len(curve.fpr) - 1
    points = [
        Point(x, y, f"score at least {1 - i / bins:.2f}: sensitivity {y:.3f}")
        for i, (x, y) in enumerate(zip(curve.fpr, curve.tpr, strict=True))
    ]
    label = f"{name}, AUC {figures.number(curve.auc)} ({bins} bins)"
    return Series(label, shown.site, points, shown.dashed)
