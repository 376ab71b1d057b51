"""What an author has not written yet, in the template of today and in that of 2022."""

import ast
import re
from collections.abc import Iterable, Iterator

from federator.errors import Problem, Where
from federator.notebook.reader import Cell
from federator.notebook.signatures import SPELLING
from federator.notebook.slicing.statements import Step, own_nodes

_TODO_BETWEEN_MARKS = re.compile(
    r"^[ \t]*#+ *START CODE HERE.*\n(?:[ \t]*(?:#.*)?\n)*?[ \t]*(?P<todo>#+ *TODO).*\n"
    r"(?:[ \t]*(?:#.*)?\n)*?[ \t]*#+ *END CODE HERE",
    re.MULTILINE,
)


def functions(step: Step, subclassed: frozenset[str]) -> Iterator[Problem]:
    """Yield the functions of a step that the author has not written yet.

    A method that raises NotImplementedError in a class that others inherit from is not meant.
    """
    for name, function in _functions(step.nodes, subclassed):
        mark = next(_not_implemented(function.body), None)
        if mark is not None:
            message = f"`{name}` is not filled in: it still raises NotImplementedError"
            told = [n.value for n in ast.walk(mark) if isinstance(n, ast.Constant)]
            hint = f"Write its code: {told[0]!s}" if told else "Write its code."
            yield Problem(message, step.where(mark), hint)
        elif name in SPELLING and all(map(_says_nothing, function.body)):
            message = f"`{name}` is not filled in: its body is empty"
            yield Problem(message, step.where(function), f"Write: {SPELLING[name]}")


def marks(cell: Cell, file: str) -> Iterator[Problem]:
    """Yield the places between the marks of the 2022 template where nothing but TODO stands."""
    for match in _TODO_BETWEEN_MARKS.finditer(cell.source):
        line = cell.source.count("\n", 0, match.start("todo")) + 1
        yield Problem(
            "this part of the template is not filled in",
            Where(file, cell.number, line),
            "Write the code between START CODE HERE and END CODE HERE, and take TODO away.",
        )


def _functions(
    nodes: Iterable[ast.AST], subclassed: frozenset[str], prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in own_nodes(nodes):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if not any("abstract" in ast.unparse(d) for d in node.decorator_list):
                yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and node.name not in subclassed:
            yield from _functions(node.body, subclassed, f"{prefix}{node.name}.")


def _not_implemented(body: Iterable[ast.stmt]) -> Iterator[ast.Raise]:
    """Yield the `raise NotImplementedError` that a body reaches whatever its input is."""
    for node in body:
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                yield node
        elif isinstance(node, ast.With | ast.For | ast.While):
            yield from _not_implemented(node.body)


def _says_nothing(node: ast.stmt) -> bool:
    return isinstance(node, ast.Pass) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
