"""What becomes of each cell of a notebook: what goes in, what stays behind, and why."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from federator.notebook.reader import Cell
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import Step


@dataclass(frozen=True)
class CellReport:
    """What becomes of one code cell.

    Attributes:
        number: its place among all cells of the notebook, Markdown included, from 1.
        words: its first line of code, cut short.
        task: what goes to the sites, by name.
        aggregation: what goes to the server, by name.
        parameters: what a run's configuration may set.
        behind: what stays behind, and why.
    """

    number: int
    words: str
    task: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    behind: tuple[tuple[str, str], ...] = ()


def cell_reports(
    program: Program, task: list[Step], aggregation: list[Step], parameters: Collection[str]
) -> Iterator[CellReport]:
    """Yield a report for every code cell, in order."""
    unreadable = {cell.cell.number: cell.problem.message for cell in program.unreadable}
    to_sites = {step.index for step in task}
    to_server = {step.index for step in aggregation}
    grouped: dict[int, list[Step]] = {}
    for step in program.steps:
        grouped.setdefault(step.cell.number, []).append(step)
    for cell in program.notebook.cells:
        steps = grouped.get(cell.number, [])
        words = steps[0].words if steps else _words(cell)
        if "local" in cell.tags:
            yield CellReport(cell.number, words, behind=(("the cell", "it is tagged `local`"),))
        elif cell.number in unreadable:
            yield CellReport(cell.number, words, behind=(("the cell", unreadable[cell.number]),))
        else:
            taken = to_sites | to_server
            tagged = "parameters" in cell.tags
            yield CellReport(
                cell.number,
                words,
                _named(step for step in steps if step.index in to_sites),
                _named(step for step in steps if step.index in to_server),
                tuple(n for s in steps for n in sorted(s.binds) if tagged and n in parameters),
                tuple((_label(s), _reason(program, s)) for s in steps if s.index not in taken),
            )


def _named(steps: Iterator[Step]) -> tuple[str, ...]:
    return tuple(_label(step) for step in steps)


def _label(step: Step) -> str:
    return ", ".join(sorted(step.binds)) or step.words


def _reason(program: Program, step: Step) -> str:
    modules = sorted(step.changes & program.origins.keys())
    if modules:
        return f"changes {modules[0]}, which is imported; tag the cell `federate` to take it in"
    return "not needed" if step.binds or step.changes else "its result is not kept"


def _words(cell: Cell) -> str:
    return next((line.strip()[:40] for line in cell.source.split("\n") if line.strip()), "(empty)")
