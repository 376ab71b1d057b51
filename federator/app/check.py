"""The check of a federation: its notebook against its federation file. Nothing is written."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from federator.app import convert
from federator.errors import Problem, Where
from federator.federation import schema
from federator.federation.schema import Federation
from federator.notebook import preview
from federator.notebook.checks import likely_task
from federator.notebook.contract import Parts
from federator.notebook.strategy import literal

_COUNTS = re.compile(r"(?:N|NUM|NUMBER_OF)?_?(?:CLASSES|LABELS)", re.IGNORECASE)
_NAMES = re.compile(r"(?:CLASS|LABEL)_?NAMES|CLASSES|LABELS", re.IGNORECASE)


def is_federation(path: Path) -> bool:
    """Whether a path leads to a federation file, or to its folder."""
    return path.name == schema.FILE or (path / schema.FILE).is_file()


def check_federation(read: Federation) -> tuple[str, tuple[Problem, ...]]:
    """Return the preview of a federation's notebook, and the warnings about both. Write nothing.

    Raises:
        InputError: as :func:`convert.convert`.
    """
    rendered = convert.render(read, read.root / "build")
    source, parts, told = rendered.source, rendered.parts, rendered.components.warnings
    labels = len(read.labels or ())
    other = likely_task.problems(parts.task, read.task, labels, read.notebook.name)
    doubts = [*source.warnings, *told, *other, *_labels(parts, read), *_folders(read)]
    return preview.render(parts, source), tuple(dict.fromkeys(doubts))


def _labels(parts: Parts, read: Federation) -> Iterator[Problem]:
    """Yield the constants that name or count classes otherwise than the federation file."""
    labels = list(read.labels or ())  # classes; a regression has targets instead
    if not labels:
        return
    for statement in parts.task.statements:
        for node in ast.parse(statement.source).body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if not isinstance(node, ast.Assign) or not isinstance(target, ast.Name):
                continue
            value = literal(node.value)
            names = isinstance(value, list | tuple) and all(isinstance(v, str) for v in value)
            if type(value) is int and _COUNTS.fullmatch(target.id) and value != len(labels):
                said = f"`{target.id}` is {value}"
            elif names and _NAMES.fullmatch(target.id) and list(value) != labels:  # type: ignore[call-overload]
                said = f"`{target.id}` is {value!r}"
            else:
                continue
            where = Where(read.notebook.name, statement.cell, statement.line + node.lineno - 1)
            message = f"{said}, and the federation file names the labels {', '.join(labels)}"
            yield Problem(message, where, "The two must be the same, in the same order.")


def _folders(read: Federation) -> Iterator[Problem]:
    """Yield a warning for each data folder of the local run that does not exist."""
    for site in read.sites:
        if site.data is not None and not site.data.is_dir():
            message = f"the data folder of site {site.name} is not there: {site.data}"
            hint = "`federator run` needs it; a real site has a folder of its own."
            yield Problem(message, read.where("sites"), hint)
