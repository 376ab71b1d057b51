"""What a report shows of a task: the interface that each task's module fills."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from federator.results.plots import Chart
from federator.runtime.protocol.evaluation.tables import Tables


@dataclass(frozen=True)
class Figure:
    """A figure, and its 95 % interval where there is one; None where it is undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Column:
    """A figure's title, and which of two values is the better one (empty: neither)."""

    title: str
    better: Literal["higher", "lower", ""] = "higher"


class View(ABC):
    """The figures of a task, derived from the sums of its tables.

    Args:
        labels: names of the labels, classes or targets, by their number.
        positive: number of the positive one of two labels; None for all other tasks.
    """

    columns: ClassVar[Mapping[str, Column]]
    """Of the comparison of models, in order."""
    headline: ClassVar[tuple[str, ...]]
    """The two or three columns that stand for all, in a line, a curve or a summary."""
    part: ClassVar[str] = "Label"
    """What one row of :meth:`parts` is of."""

    def __init__(self, labels: tuple[str, ...], positive: int | None = None) -> None:
        self.labels, self.positive = labels, positive

    @abstractmethod
    def figures(self, tables: Tables) -> dict[str, Figure]:
        """Return a figure for each column, over all labels, classes or targets together."""

    def parts(self, tables: Tables) -> dict[str, dict[str, Figure]]:
        """Return the figures of each label, class or target by its name; empty if there is one."""
        del tables
        return {}

    def charts(self, shown: Mapping[str, Tables]) -> list[Chart]:
        """Draw charts of test data: of each of ``shown``, by its name in the legend."""
        del shown
        return []
