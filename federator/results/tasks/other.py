"""A task of the author's own: the figures are the metrics that the federation file declares."""

from collections.abc import Mapping
from typing import ClassVar

from federator.results.tasks.base import EXACT, AllLimits, Column, Figure, View
from federator.runtime.protocol.evaluation.tables import Tables


class OtherView(View):
    """No figure of its own: the report shows the declared metrics beside the loss."""

    columns: ClassVar[Mapping[str, Column]] = {}
    headline = ()

    def figures(self, tables: Tables, limits: AllLimits = EXACT) -> dict[str, Figure]:
        """Return nothing."""
        del tables, limits
        return {}
