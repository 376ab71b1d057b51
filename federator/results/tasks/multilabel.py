"""The figures of a multi-label task: of each label, and their macro and micro averages."""

from collections.abc import Mapping
from typing import ClassVar

from federator.results.drawing.plots import Chart
from federator.results.tasks.base import EXACT, AllLimits, Column, Figure, Shown, View
from federator.results.tasks.classification import (
    ClassificationView,
    by_rounding,
    mean_of,
    of_label,
    roc_chart,
)
from federator.runtime.protocol.evaluation.rounding import Limits, add_limits
from federator.runtime.protocol.evaluation.tables import Tables, add


class MultilabelView(View):
    """Each label against its absence; over all labels, the mean of their figures (macro)."""

    columns: ClassVar[Mapping[str, Column]] = ClassificationView.columns
    headline = ("f1", "auc")
    chart_title = "ROC"
    chart_table = "scores"
    chart_lead = ClassificationView.chart_lead
    chart_none = ClassificationView.chart_none

    @property
    def caption(self) -> str:
        """What the average is over, and which tables it leaves out."""
        return (
            "Each value is the mean over the labels for which it is defined (macro average); a "
            "label whose counts a site withholds (min_cell_count) is none of them. By label: "
            "95 % intervals by Wilson, of the AUC by DeLong. The micro average is of all labels' "
            "counts in one; a patient counts once for each label, so it has no interval."
        )

    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return the macro average: the mean over the labels for which a figure is defined.

        Source: Sokolova and Lapalme, Information Processing & Management 2009;45:427.
        """
        each = [self._label(tables, limits, k) for k in range(len(self.settings.names))]
        return {name: mean_of([one[name] for one in each]) for name in self.columns}

    def parts(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, dict[str, Figure]]:
        """Return the figures of each label, and of all labels' counts in one (micro average)."""
        names = enumerate(self.settings.names)
        found = {name: self._label(tables, limits, k) for k, name in names}
        if len(found) < 2:
            return {}
        return found | {"Micro average": self._micro(tables, limits)}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw the ROC curve of each label."""
        several = len(self.settings.names) > 1
        charts = (
            roc_chart(f"{title}: {name}" if several else title, f"scores.{k}", shown)
            for k, name in enumerate(self.settings.names)
        )
        return [chart for chart in charts if chart]

    def _label(self, tables: Tables, limits: AllLimits, k: int) -> dict[str, Figure]:
        name = f"confusion.{k}"
        scores = tables.get(f"scores.{k}")
        return of_label(tables.get(name), scores, limits=limits.get(name))

    def _micro(self, tables: Tables, limits: AllLimits) -> dict[str, Figure]:
        labels = range(len(self.settings.names))
        found = []
        for kind in ("confusion", "scores"):
            given = [table for k in labels if (table := tables.get(f"{kind}.{k}"))]
            # Where one label's scores are withheld, those of the others are of other examples.
            whole = len(given) == len(labels) or kind == "confusion"
            found.append(add(given) if given and whole else None)
        figures = of_label(found[0], found[1], limits=self._summed(tables, limits))
        return {
            name: Figure(
                one.value, note=one.note or by_rounding(one), least=one.least, most=one.most
            )
            for name, one in figures.items()
        }

    def _summed(self, tables: Tables, limits: AllLimits) -> Limits | None:
        """Return what all labels' counts in one may have been; None where they are not rounded."""
        names = [f"confusion.{k}" for k in range(len(self.settings.names))]
        given = [name for name in names if name in tables]
        if not any(name in limits for name in given):
            return None
        each = [limits.get(name) or Limits(*[tables[name]] * 3) for name in given]
        return add_limits(each)
