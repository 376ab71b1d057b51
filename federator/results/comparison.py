"""The models of a run side by side on test data: the comparison of the paper's Table 2."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from federator.common import figures
from federator.results.history import COMMON, Journal
from federator.results.measured import figures as figures_of
from federator.results.tasks.base import Figure, View
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.evaluations.result import Result


@dataclass(frozen=True)
class Row:
    """A model on some test sets: its figures, and the columns in which it is best.

    ``name`` is what readers call it: "personal" where what a site evaluates has tensors of its own.
    ``missing`` are the sites on whose test sets this model was not tested though others were:
    such a row is not compared.
    """

    model: str
    name: str
    result: Result
    figures: dict[str, Figure]
    missing: tuple[str, ...]
    best: frozenset[str] = frozenset()


def compare(journal: Journal, site: str | None = None, models: Sequence[str] = ()) -> list[Row]:
    """Set models (default: all) side by side on one site's test set, or on all taken together."""
    models = models or [*COMMON, *journal.sites]
    tested = {model: journal.tests[model] for model in models if model in journal.tests}
    everywhere = {name for test in tested.values() for name in test.sites}
    rows = []
    for model, test in tested.items():
        result = test.sites.get(site) if site else test.pooled()
        if result is not None:
            missing = () if site else tuple(sorted(everywhere - set(test.sites)))
            found, name = figures_of(journal.view, result), named(journal, model)
            rows.append(Row(model, name, result, found, missing))
    rivals = [row for row in rows if not row.missing]
    best = _best(journal.view, rivals)
    return [replace(row, best=best.get(row.model, frozenset())) for row in rows]


def named(journal: Journal, model: str) -> str:
    """Name a model of a run."""
    name = figures.model(model)
    return f"{name} (personal)" if model == FEDERATION and journal.start.local else name


def _best(view: View, rivals: Sequence[Row]) -> dict[str, frozenset[str]]:
    """Name, by model, the columns in which it is best, and some other is not."""
    best: dict[str, set[str]] = {row.model: set() for row in rivals}
    binned = tuple(column.table for column in view.columns.values() if column.table)
    for name, column in view.columns.items():
        values = {row.model: row.figures[name].value for row in rivals}
        known = [value for value in values.values() if value is not None]
        having = [row for row in rivals if values[row.model] is not None]
        of = [_tables(row, column.table, binned) for row in having]
        # Coarser scores give smaller areas; a mean over other labels is another figure.
        if not column.better or not known or len(set(of)) > 1:
            continue
        higher = column.better == "higher"
        top = max(known) if higher else min(known)
        for row in having:
            if values[row.model] != top or not min(known) < max(known):
                continue
            others = [one.figures[name] for one in having if values[one.model] != top]
            if all(_is_better(row.figures[name], other, higher) for other in others):
                best[row.model].add(name)
    return {model: frozenset(names) for model, names in best.items()}


def _is_better(one: Figure, other: Figure, higher: bool) -> bool:
    """Tell whether a figure is better than another whatever the rounding of their counts hides."""
    first, second = (one.lowest, other.highest) if higher else (other.lowest, one.highest)
    return first is not None and second is not None and first >= second


def _tables(
    row: Row, table: str, binned: tuple[str, ...]
) -> frozenset[tuple[str, int, tuple[str, ...]]]:
    """Name the tables that a column follows from, each with its bins and the sites without it."""
    absent = row.result.without
    return frozenset(
        (name, len(found[0]), tuple(absent.get(name, ())))
        for name, found in row.result.tables.items()
        if (name.startswith(table) if table else not name.startswith(binned))
    )
