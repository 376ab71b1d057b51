"""What a site lets out of an evaluation's tables: no count, other than 0, below its minimum."""

from collections.abc import Iterable
from typing import NamedTuple

from federator.runtime.protocol.evaluation.rounding import round_matrix
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import Task

LOSS = "loss"
"""What is named as withheld where a loss is, and with it the numbers of the federation file."""


class Released(NamedTuple):
    """Tables that may leave, and the names of what may not (of :func:`names`)."""

    tables: Tables
    withheld: tuple[str, ...]


def names(task: Task) -> tuple[str, ...]:
    """Return what may be named as withheld: loss, tables, and rows of a classification's matrix."""
    rows = range(task.size if task.name == "classification" else 0)
    return (LOSS, *task.forms, *(f"confusion.{k}" for k in rows))


def few_of(withheld: Iterable[str], name: str) -> tuple[int, ...]:
    """Return which rows of the matrix ``name`` are empty since they are of too few examples."""
    rows = (each.removeprefix(f"{name}.") for each in withheld if each.startswith(f"{name}."))
    return tuple(sorted(int(row) for row in rows if row.isdecimal()))


def release(task: Task, tables: Tables, minimum: int, digits: int = 0) -> Released:
    """Return the tables as coarse, or as rounded, as a site's minimum cell count asks for.

    Where a label of a classification has too few examples, its scores stay, and those of the label
    that takes its row: the numbers of examples of all others would tell the one that is missing.

    Args:
        task: of which the tables are.
        tables: by name, as :meth:`Form.read` gives them.
        minimum: smallest count, other than 0, that may leave.
        digits: significant digits of sums; 0 for all.
    """
    found: dict[str, Table] = {}
    withheld: set[str] = set()
    for name, table in tables.items():
        form = task.forms[name]
        if not form.rounded:
            kept = form.release(table, minimum)
        elif (matrix := round_matrix(table, minimum)) is None:
            kept = None
        elif not matrix.few:
            kept = matrix.table
        elif task.name == "classification":
            kept = matrix.table
            withheld |= {f"confusion.{k}" for k in matrix.few}
            withheld |= {f"scores.{k}" for k in (*matrix.few, matrix.taker)} & tables.keys()
        else:
            kept = None
        if kept is None:
            withheld.add(name)
        else:
            found[name] = form.round_sums(kept, digits)
    allowed = {name: table for name, table in found.items() if name not in withheld}
    return Released(allowed, tuple(name for name in names(task) if name in withheld))
