"""A Python module, written from the author's statements as they stand in the notebook.

Only the parameters are rewritten. The number of blank lines between two statements depends on
these two statements alone: a statement that stays behind leaves no gap.
"""

import ast
import symtable
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from federator.errors import NotebookError, Problem, Where
from federator.notebook.parameters import Value, assigned
from federator.notebook.slicing.component import Component, Statement
from federator.runtime.source_map import Span

_IMPORT = "from federator.runtime.app import parameter"


@dataclass(frozen=True)
class Module:
    """A module's text, without its docstring.

    Attributes:
        text: the statements, without a newline at the end.
        spans: where they stand in the notebook; lines count from the first of ``text``.
        parameters: the parameters that a run may set, with their values in the notebook.
    """

    text: str
    spans: tuple[Span, ...]
    parameters: Mapping[str, Value]

    def defines(self, name: str) -> bool:
        """Say whether the module has a global variable, function or class of this name."""
        return name in _globals(self.text)


def write(component: Component, parameters: Mapping[str, Value], notebook: str) -> Module:
    """Write a component as a module.

    Args:
        component: the statements, in order; imports from ``__future__`` are the first.
        parameters: the literals of the cell tagged ``parameters``. The statement that assigns
            one becomes ``NAME = parameter("NAME", literal)``, and ``A = B = 3`` two of those.
        notebook: the notebook's file name, for error messages.

    Raises:
        NotebookError: if the author uses the name ``parameter`` where it is needed.
    """
    waiting = dict(parameters)
    pieces: list[tuple[str, str, Statement | None]] = []
    for statement in component.statements:
        source = _settable(statement.source.rstrip(), waiting)
        pieces.append((_kind(source), source, statement))
    used = {name: value for name, value in parameters.items() if name not in waiting}
    if used:
        _require_free("parameter", component.statements, notebook)
        futures = sum(kind == "future" for kind, _, _ in pieces)
        pieces.insert(futures, ("own import", _IMPORT, None))

    lines: list[str] = []
    spans: list[Span] = []
    above = None
    for kind, source, origin in pieces:
        lines += [""] * _blank_lines(above, kind)
        if origin:
            spans.append(Span(len(lines) + 1, source.count("\n") + 1, origin.cell, origin.line))
        lines += source.split("\n")
        above = kind
    return Module("\n".join(lines), tuple(spans), used)


def _settable(source: str, waiting: dict[str, Value]) -> str:
    """Write ``NAME = 3`` as ``NAME = parameter("NAME", 3)`` where NAME is waited for with 3."""
    lines = [line.encode() for line in source.split("\n")]  # ast counts columns in bytes

    def insert(text: str, line: int | None, column: int | None) -> None:
        assert line is not None
        lines[line - 1] = lines[line - 1][:column] + text.encode() + lines[line - 1][column:]

    for node in reversed(ast.parse(source).body):
        given = [(name, value) for name, value in assigned(node) if _is(value, waiting.get(name))]
        if isinstance(node, ast.Assign) and len(node.targets) > 1:  # A = B = 3
            names = [ast.unparse(target) for target in node.targets]
            if [name for name, _ in given] == names and node.lineno == node.end_lineno:
                line = lines[node.lineno - 1]
                text = "; ".join(
                    f'{name} = parameter("{name}", {ast.unparse(value)})' for name, value in given
                )
                head, tail = line[: node.col_offset], line[node.end_col_offset :]
                lines[node.lineno - 1] = head + text.encode() + tail
                for name in names:
                    del waiting[name]
            continue
        for name, value in reversed(given):
            del waiting[name]
            insert(")", value.end_lineno, value.end_col_offset)
            insert(f'parameter("{name}", ', value.lineno, value.col_offset)
    return b"\n".join(lines).decode()


def _is(node: ast.expr, value: Value | None) -> bool:
    return value is not None and ast.unparse(node) == ast.unparse(ast.Constant(value))


def _kind(source: str) -> str:
    node = ast.parse(source).body[0]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "future" if getattr(node, "module", None) == "__future__" else "import"
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return "definition"
    return "block" if {"body", "cases"} & set(node._fields) else "line"


def _blank_lines(above: str | None, below: str) -> int:
    """Return how many blank lines PEP 8 and a reader want between two statements."""
    if above is None:
        return 0
    if "definition" in (above, below):
        return 2
    return 0 if above == below != "block" else 1


def _globals(source: str) -> set[str]:
    symbols = symtable.symtable(source, "module", "exec").get_symbols()
    return {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}


def _require_free(name: str, statements: Iterable[Statement], notebook: str) -> None:
    for statement in statements:
        if name in _globals(statement.source):
            raise NotebookError(
                Problem(
                    f"the name `{name}` is needed for the cell tagged parameters",
                    Where(notebook, statement.cell, statement.line),
                    "give it another name in the notebook",
                )
            )
