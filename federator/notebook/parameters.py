"""The parameters of a notebook: the numbers, texts and truth values of its tagged cell."""

import ast
from collections.abc import Iterable, Iterator

from federator.errors import Problem
from federator.notebook.slicing.statements import Step, assignments
from federator.notebook.strategy import literal

Value = bool | float | int | str

TAG = "parameters"
INJECTED = "injected-parameters"  # papermill's own, which it writes below the author's


def assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """Yield each name that a statement assigns, with the expression of its value."""
    for target, value in assignments(node):
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            pairs = zip(target.elts, value.elts, strict=False)
            yield from ((n.id, each) for n, each in pairs if isinstance(n, ast.Name))


def read(steps: Iterable[Step]) -> Iterator[tuple[str, Value]]:
    """Yield the parameters among the steps that go in, with their values in the notebook."""
    for _, name, node in _tagged(steps):
        value = literal(node)
        if isinstance(value, Value):
            yield name, value


def warnings(steps: Iterable[Step]) -> Iterator[Problem]:
    """Yield what no run can set in the tagged cells, and the cells that papermill injected."""
    reported: set[int] = set()
    for step, name, node in _tagged(steps):
        if not isinstance(literal(node), Value):
            message = f"`{name}` is in the cell tagged `{TAG}`, but no run can set it"
            hint = "Only a number, a text, True or False can be set: write it as a literal."
            yield Problem(message, step.where(node), hint)
        if INJECTED in step.cell.tags and step.cell.number not in reported:
            reported.add(step.cell.number)
            message = "papermill has injected this cell; what it sets counts"
            hint = f"Delete it to have the values of the cell tagged `{TAG}`."
            yield Problem(message, step.where(), hint)


def _tagged(steps: Iterable[Step]) -> Iterator[tuple[Step, str, ast.expr]]:
    for step in steps:
        if step.cell.tags & {TAG, INJECTED}:
            for node in step.nodes:
                yield from ((step, name, value) for name, value in assigned(node))
