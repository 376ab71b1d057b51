"""What becomes of each cell of a notebook: what goes in, what stays behind, and why."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from federator.notebook.reader import Cell
from federator.notebook.signatures import PARTS
from federator.notebook.slicing.closure import Program
from federator.notebook.slicing.statements import Step

_CALLED = {*(part.name for part in PARTS), "strategy", "config"}
_SHOWN = 3  # of the statements that need another one


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
        because: why each of what goes in does.
        forced: the tag that says what becomes of the cell, whatever it holds: ``federate``,
            ``local``, or none.
    """

    number: int
    words: str
    task: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    behind: tuple[tuple[str, str], ...] = ()
    because: tuple[tuple[str, str], ...] = ()
    forced: str = ""


def cell_reports(
    program: Program, task: list[Step], aggregation: list[Step], parameters: Collection[str]
) -> Iterator[CellReport]:
    """Yield a report for every code cell, in order."""
    unreadable = {cell.cell.number: cell.problem.message for cell in program.unreadable}
    to_sites = {step.index for step in task}
    to_server = {step.index for step in aggregation}
    going = {step.index: step for step in (*task, *aggregation)}
    users = _users(going.values())
    grouped: dict[int, list[Step]] = {}
    for step in program.steps:
        grouped.setdefault(step.cell.number, []).append(step)
    for cell in program.notebook.cells:
        steps = grouped.get(cell.number, [])
        words = steps[0].words if steps else _words(cell)
        if "local" in cell.tags:
            behind = (("the cell", "it is tagged `local`"),)
            yield CellReport(cell.number, words, behind=behind, forced="local")
        elif cell.number in unreadable:
            yield CellReport(cell.number, words, behind=(("the cell", unreadable[cell.number]),))
        else:
            tagged = "parameters" in cell.tags
            yield CellReport(
                cell.number,
                words,
                _named(step for step in steps if step.index in to_sites),
                _named(step for step in steps if step.index in to_server),
                tuple(n for s in steps for n in sorted(s.binds) if tagged and n in parameters),
                tuple((_label(s), _reason(program, s)) for s in steps if s.index not in going),
                tuple((_label(s), _why(s, users)) for s in steps if s.index in going),
                "federate" if "federate" in cell.tags else "",
            )


def _users(going: Iterable[Step]) -> dict[str, list[Step]]:
    """Return, by name, the steps that go in and look it up."""
    users: dict[str, list[Step]] = {}
    for step in going:
        for name in step.now | step.later:
            users.setdefault(name, []).append(step)
    return users


def _why(step: Step, users: Mapping[str, list[Step]]) -> str:
    """Return why a step goes in."""
    if "federate" in step.cell.tags:
        return "the cell is tagged `federate`"
    if step.binds.keys() & _CALLED:
        return "it is a part"
    found = [_label(user) for name in step.binds for user in users.get(name, ()) if user != step]
    if names := list(dict.fromkeys(found)):
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        return f"needed by {', '.join(names[:_SHOWN])}{more}"
    if changed := sorted(step.changes):
        return f"changes {changed[0]}, which goes in"
    return "what goes in depends on it"


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
    lines = [*cell.source.split("\n"), *cell.foreign.values()]
    return next((line.strip()[:40] for line in lines if line.strip()), "(empty)")
