"""The text of a slice: its statements in order, what they import, and what they leave undefined."""

import ast
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate

from pyflakes.checker import Checker
from pyflakes.messages import UndefinedName

from federator.errors import Where
from federator.notebook.slicing import imports
from federator.notebook.slicing.imports import Import
from federator.notebook.slicing.statements import Step

# The short names that everybody knows, and that published notebooks use without importing them.
SHORT_NAMES = {
    "fl": "import flwr as fl",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "torch": "import torch",
    "nn": "import torch.nn as nn",
    "F": "import torch.nn.functional as F",
}


@dataclass(frozen=True)
class Statement:
    """Whole lines of a top-level statement, with its decorators and the comments directly above.

    ``line`` is the first of them in the cell, from 1. A statement that the author did not write
    (a short name that is imported for them) has the place where it is first used.
    """

    source: str
    cell: int
    line: int


@dataclass(frozen=True)
class Component:
    """The statements of one generated module, in order.

    ``imported`` is whatever they import anywhere, inside functions too.
    """

    statements: tuple[Statement, ...]
    imported: tuple[Import, ...] = ()

    @property
    def imports(self) -> Mapping[str, Where]:
        """The top-level modules among them, and where each is imported first."""
        return {one.top: one.where for one in reversed(self.imported)}


@dataclass(frozen=True)
class Undefined:
    """A name that a slice looks up and never binds, with the first place where it does."""

    name: str
    step: Step
    where: Where


def component(steps: list[Step], supplied: Iterable[Undefined] = ()) -> Component:
    """Write steps down as a component, with the imports of short names that are missing."""
    statements: list[Statement] = []
    imported: list[Import] = []
    for missing in sorted(supplied, key=lambda missing: list(SHORT_NAMES).index(missing.name)):
        where = missing.where
        line = SHORT_NAMES[missing.name]
        statements.append(Statement(line, where.cell or 1, where.line or 1))
        imported.append(Import(line.split()[1], where))
    future = sum(step.is_future for step in steps)
    written = [Statement(step.source, step.cell.number, step.line) for step in steps]
    for step in steps:
        imported += imports.found(step.nodes, step.where)
    known = tuple(one for one in imported if one.module != "__future__")
    return Component((*written[:future], *statements, *written[future:]), known)


def undefined(steps: list[Step]) -> list[Undefined]:
    """Return the names that nothing in a slice binds before they are looked up."""
    starts = list(accumulate((step.source.count("\n") + 1 for step in steps), initial=1))
    found: dict[str, Undefined] = {}
    tree = ast.parse("\n".join(step.source for step in steps))
    messages = (m for m in Checker(tree).messages if isinstance(m, UndefinedName))
    for message in sorted(messages, key=lambda m: (m.lineno, m.col)):
        name = str(message.message_args[0])
        at = bisect_right(starts, message.lineno) - 1
        step = steps[at]
        # pyflakes also reads annotations in quotes, which nothing looks up.
        if name in step.now | step.later and name not in found:
            line = step.line + message.lineno - starts[at]
            place = Where(step.file, step.cell.number, line)
            found[name] = Undefined(name, step, place)
    return list(found.values())
