"""The figures of a classification: six metrics and the area under the ROC curve."""

from collections.abc import Mapping
from typing import ClassVar

from federator.common import figures
from federator.results import plots
from federator.results.plots import Chart, Point, Series
from federator.results.tasks import counts
from federator.results.tasks.base import Column, Figure, Shown, View
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
    headline = ("f1", "accuracy")
    chart_title = "ROC"
    chart_table = "scores"
    chart_lead = (
        "Sensitivity against 1 − specificity, from scores that each site counted in bins of equal "
        "width: no patient’s score has left a site. The curve has one point a bin. Few bins (a "
        "small site joins its bins until no count is smaller than its min_cell_count) cut the "
        "corner of the curve, which mostly makes the area smaller; areas from different numbers "
        "of bins are not compared."
    )
    chart_none = (
        "Not available: no scores of test sets. A site gives none where its smallest bins would "
        "show single patients (min_cell_count), or where the model has no score between 0 and 1."
    )

    @property
    def caption(self) -> str:
        """Which label is positive, or that the figures are means over the labels."""
        positive = self.names.positive
        if positive is None:
            return (
                "Each value is the mean over the labels, one against the rest (macro average); "
                "accuracy is the share of correct predictions."
            )
        label = self.names.labels[positive]
        return f"Positive is “{label}”. In small print the 95 % interval (Wilson)."

    def figures(self, tables: Tables) -> dict[str, Figure]:
        """Return the six metrics and the area, from counts of any sites together."""
        positive = self.names.positive
        found = dict.fromkeys(self.columns, Figure(None))
        if matrix := tables.get("confusion"):
            metrics = counts.summarise(matrix, positive)
            sure = {} if positive is None else counts.intervals(matrix, positive)
            for name in counts.NAMES:
                found[name] = Figure(getattr(metrics, name), *sure.get(name, (None, None)))
        return found | {"auc": self._auc(tables)}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw the ROC curve of each, of two labels only."""
        if (positive := self.names.positive) is None:
            return []
        lines = []
        for name, each in shown.items():
            curve = counts.roc(each.tables.get(f"scores.{positive}"))
            if curve is not None:
                lines.append(_line(name, each, curve))
        if not lines:
            return []
        square = plots.SQUARE  # as high as wide
        chart = plots.chart(title, "1 − specificity", lines, (0.0, 1.0), square, diagonal=True)
        return [chart] if chart else []

    def _auc(self, tables: Tables) -> Figure:
        if self.names.positive is None:
            return Figure(None)
        curve = counts.roc(tables.get(f"scores.{self.names.positive}"))
        return Figure(curve.auc, note=f"{len(curve.fpr) - 1} bins") if curve else Figure(None)


def _line(name: str, shown: Shown, curve: counts.Roc) -> Series:
    bins = len(curve.fpr) - 1
    points = [
        Point(x, y, f"score at least {1 - i / bins:.2f}: sensitivity {y:.3f}")
        for i, (x, y) in enumerate(zip(curve.fpr, curve.tpr, strict=True))
    ]
    label = f"{name}, AUC {figures.number(curve.auc)} ({bins} bins)"
    return Series(label, shown.site, points, shown.dashed)
