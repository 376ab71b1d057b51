"""Runs of one federation side by side: what was set otherwise, and what came of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from federator.common import figures
from federator.errors import InputError, Problem
from federator.results.comparison import Row, compare
from federator.results.export.source import manifest_of
from federator.results.history import Journal, read
from federator.results.tasks.base import with_interval
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import FILE

if TYPE_CHECKING:
    from rich.table import Table

# What makes figures incomparable, by the field of a journal's start, in words.
_MEASURES = {
    "federation": "of another federation",
    "task": "of another task",
    "labels": "with other labels, classes or targets",
    "positive": "with another positive label",
    "ranges": "with other ranges of the targets",
    "horizon": "with another horizon",
    "surfaces": "with another largest distance of surfaces",
}
_SETTINGS = (
    *("strategy", "last_round", "local_epochs", "local_steps", "seed", "select", "baselines"),
    *("encoding", "local", "privacy", "site_privacy", "model_bytes", "sites"),
)


@dataclass(frozen=True)
class Side:
    """One run of a comparison.

    Attributes:
        name: the run's name.
        journal: its journal.
        settings: what was set, in words, by its name in the journal.
        row: the common model on all test sets together; None if it was not tested.
    """

    name: str
    journal: Journal
    settings: Mapping[str, str]
    row: Row | None


def beside(folders: Sequence[Path]) -> list[Side]:
    """Set runs side by side, given as their folders, or as a folder of several.

    Raises:
        InputError: if there are fewer than two, or their figures are not of the same test data.
        RunError: if a folder has no journal of a run that has started.
    """
    runs = [run for folder in folders for run in _runs(folder)]
    if len(runs) < 2:
        hint = "name several runs, or a folder with several, such as results/NAME"
        raise InputError(Problem("there are fewer than two runs to compare", hint=hint))
    sides = [_side(run) for run in runs]
    first = sides[0]
    problems = [
        Problem(f"{side.name} cannot be compared with {first.name}: {what}")
        for side in sides[1:]
        for what in _obstacles(first.journal, side.journal)
    ]
    if problems:
        raise InputError(*problems)
    return sides


def differing(sides: Sequence[Side]) -> dict[str, list[str]]:
    """Return the settings in which runs differ, each with what it is in each run."""
    values = {name: [side.settings[name] for side in sides] for name in sides[0].settings}
    return {name: found for name, found in values.items() if len(set(found)) > 1}


def costs(side: Side) -> dict[str, str]:
    """Return what a run took: rounds, time, bytes, and epsilon where there is one."""
    trained = side.journal.trained()
    parts = [part for done in trained for part in done.sites.values()]
    told = {
        "state": side.journal.state,
        "rounds run": str(len(trained)),
        "time in rounds": figures.duration(sum(done.seconds for done in trained)),
    }
    if not side.journal.start.sites_withheld:
        told["failures of sites"] = str(sum(not part.ok for part in parts))
        told["bytes"] = figures.size(sum(part.bytes_down + part.bytes_up for part in parts))
    epsilons = [row.epsilon for row in side.journal.privacy.values()]
    epsilons += [done.epsilon for done in trained if done.epsilon is not None]
    if epsilons:
        told["epsilon"] = figures.number(max(epsilons))
    return told


def table(sides: Sequence[Side]) -> "Table":
    """Lay runs out for the terminal: a column each."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    laid = Table(title=f"{sides[0].journal.start.federation}: runs", box=box.SIMPLE)
    laid.add_column("")
    for side in sides:
        laid.add_column(side.name, justify="right")
    groups = (
        differing(sides) or {"settings": ["the same"] * len(sides)},
        _joined([costs(side) for side in sides]),
        _joined([_figures(side) for side in sides]),
    )
    for rows in groups:
        for name, cells in rows.items():
            last = name == list(rows)[-1]
            laid.add_row(Text(name), *map(Text, cells), end_section=last)
    laid.caption = (
        "Figures are those of the common model on all test sets together, with 95 % intervals. "
        "Intervals of one test set are not independent: that two overlap does not say that the "
        "models are equal, nor is the best of many runs as good as it looks."
    )
    return laid


def _runs(folder: Path) -> list[Path]:
    """Return a run's folder, or those of the runs in a folder."""
    inside = [] if (folder / FILE).exists() else sorted(folder.glob(f"*/{FILE}"))
    return [path.parent for path in inside] or [folder]


def _side(run: Path) -> Side:
    journal = read(run)
    found = journal.start.model_dump(mode="json")
    settings = {name: _worded(found[name]) for name in _SETTINGS}
    settings["app"] = str(manifest_of(run).get("app_hash", "–"))[:12]
    settings |= {f"version of {name}": one for name, one in journal.start.versions.items()}
    rows = [row for row in compare(journal, models=[FEDERATION]) if not row.missing]
    return Side(run.resolve().name, journal, settings, rows[0] if rows else None)


def _obstacles(one: Journal, other: Journal) -> Iterator[str]:
    """Yield why two runs' figures are not of the same thing."""
    first, second = one.start.model_dump(), other.start.model_dump()
    for name, words in _MEASURES.items():
        if first[name] != second[name]:
            yield f"it is {words} ({_worded(second[name])}, not {_worded(first[name])})"
    sizes = [_sizes(journal) for journal in (one, other)]
    if all(sizes) and sizes[0] != sizes[1]:
        yield f"their test sets differ (examples: {_worded(sizes[1])}, not {_worded(sizes[0])})"


def _sizes(journal: Journal) -> dict[str, int]:
    """Return the size of each site's test set, as far as the common model was tested there."""
    tested = journal.tests.get(FEDERATION)
    return {site: one.examples for site, one in tested.sites.items()} if tested else {}


def _figures(side: Side) -> dict[str, str]:
    view = side.journal.view
    if side.row is None:
        return {"test": "not tested at all sites"}
    result = side.row.result
    told = {"examples": str(result.examples), "loss": figures.number(result.loss)}
    for name, column in view.columns.items():
        told[column.title] = with_interval(side.row.figures[name])
    return told | {name: figures.number(one) for name, one in result.metrics.items()}


def _joined(columns: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Return rows of several columns; what one does not have is a dash there."""
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name, "–") for column in columns] for name in names}


def _worded(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_worded, value)) or "–"
    return "–" if value in (None, "") else str(value)
