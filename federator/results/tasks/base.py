"""What a report shows of a task: the interface that each task's module fills."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, Literal

from federator.common import figures
from federator.results.drawing.plots import Chart
from federator.runtime.protocol.evaluation.rounding import Limits
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tables import Tables

AllLimits = Mapping[str, Limits]
EXACT: AllLimits = MappingProxyType({})


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        value: None where it is undefined; right in the mean where counts are rounded.
        low: the lower end of its 95 % interval, which covers the rounding of counts.
        high: the upper end.
        note: a remark.
        least: the least that it may be as counts are rounded; None where they are not.
        most: the most.
        without: sites that are not in it, as they gave no table for it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    least: float | None = None
    most: float | None = None
    without: tuple[str, ...] = ()

    @property
    def lowest(self) -> float | None:
        """The least that it may be, whether or not counts are rounded."""
        return self.value if self.least is None else self.least

    @property
    def highest(self) -> float | None:
        """The most that it may be, whether or not counts are rounded."""
        return self.value if self.most is None else self.most


def with_interval(figure: Figure) -> str:
    """Write a figure with its 95 % interval, if it has one."""
    value = figures.number(figure.value)
    if figure.low is None or figure.high is None:
        return value
    return f"{value} ({figures.number(figure.low)}–{figures.number(figure.high)})"


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        title: in a page.
        better: which of two values is the better one; empty if neither is.
        short: title in a terminal; empty for ``title``.
        table: the tables it follows from, by the beginning of their names, if values from tables
            of different bins are not compared.
    """

    title: str
    better: Literal["higher", "lower", ""] = "higher"
    short: str = ""
    table: str = ""


@dataclass(frozen=True)
class Shown:
    """What a chart draws: a model on some test set; of site number ``site``, or of all (None)."""

    tables: Tables
    site: int | None
    dashed: bool = False


class View(ABC):
    """The figures of a task, derived from the sums of its tables.

    Args:
        settings: the task, the names of its labels, and what else its figures need.
    """

    columns: ClassVar[Mapping[str, Column]]
    """Of the comparison of models, in order."""
    headline: ClassVar[tuple[str, ...]]
    """The one or two columns, chief first, that stand for all: in a line, a curve, a summary."""
    part: ClassVar[str] = "Label"
    """What one row of :meth:`parts` is of."""
    chart_title: ClassVar[str] = ""
    """Heading of the charts; empty if there are none."""
    chart_lead: ClassVar[str] = ""
    """What the charts show, and how exact they are."""
    chart_table: ClassVar[str] = ""
    """The tables that charts are drawn from, by the beginning of their names."""
    chart_none: ClassVar[str] = "Not available: the sites gave no tables for it."
    """Why there is no chart."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self.settings = settings

    @property
    def caption(self) -> str:
        """What the figures of the comparison are, and what their intervals."""
        return ""

    @abstractmethod
    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return a figure for each column, over all labels, classes or targets together.

        Args:
            tables: by name.
            limits: what the counts of matrices may have been, by name, where they are rounded.
        """

    def parts(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, dict[str, Figure]]:
        """Return the figures of each label, class or target by its name; empty if there is one."""
        del tables, limits
        return {}

    def charts(self, title: str, shown: Mapping[str, Shown]) -> list[Chart]:
        """Draw charts of test data: of each of ``shown``, by its name in the legend."""
        del title, shown
        return []
