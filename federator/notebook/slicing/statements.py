"""The top-level statements of a notebook, and what each does with names: bind, change, look up."""

import ast
import builtins
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from federator.errors import Problem, Where
from federator.notebook.reader import Cell, Notebook
from federator.notebook.slicing.names import Names, own_nodes

BUILTINS = frozenset(dir(builtins))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_PLACEHOLDER = re.compile(r"=\s*#.*TODO", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """A top-level statement, or several that share a line.

    Attributes:
        index: its place among all steps of the notebook.
        line: first line in the cell, with decorators and the comments directly above.
        source: whole lines of the cell.
        binds: names it binds → whether it surely does (a name bound under ``if`` is not).
        changes: names whose object it changes: by item, attribute, ``+=``, ``append`` and the like.
        now: global names that it looks up while it runs, unless it binds them itself first.
        later: global names that its functions look up when they are called.
        origins: names it imports → where from, dotted.
    """

    file: str
    index: int
    cell: Cell
    nodes: tuple[ast.stmt, ...]
    line: int
    source: str
    binds: Mapping[str, bool]
    changes: frozenset[str]
    now: frozenset[str]
    later: frozenset[str]
    origins: Mapping[str, str]

    def where(self, node: ast.AST | None = None) -> Where:
        """Return the place of a node of this step, or of its first statement."""
        return Where(self.file, self.cell.number, getattr(node or self.nodes[0], "lineno", None))

    @property
    def is_future(self) -> bool:
        """Whether the step is an import from ``__future__``, which must stand first."""
        first = self.nodes[0]
        return isinstance(first, ast.ImportFrom) and first.module == "__future__"

    @property
    def is_definition(self) -> bool:
        """Whether the step does nothing but define functions or classes."""
        return all(isinstance(node, Definition) for node in self.nodes)

    def walk(self) -> Iterator[ast.AST]:
        """Walk over all nodes of the step, those inside functions and classes included."""
        return (node for top in self.nodes for node in ast.walk(top))

    @property
    def words(self) -> str:
        """The first line of code, cut short."""
        text = self.source.split("\n")[self.nodes[0].lineno - self.line].strip()
        return text if len(text) <= 40 else f"{text[:37]}..."


@dataclass(frozen=True)
class Unreadable:
    """A cell that is not Python, and why."""

    cell: Cell
    problem: Problem


def steps_of(notebook: Notebook) -> tuple[list[Step], list[Unreadable]]:
    """Split all cells into steps, and set aside the cells that Python cannot compile."""
    steps: list[Step] = []
    unreadable: list[Unreadable] = []
    for cell in notebook.cells:
        if cell.language:
            message = f"`{cell.language}` makes this cell something else than Python"
            if not cell.language.startswith("%"):
                message = f"this cell is written in {cell.language}, not in Python"
            place = Where(notebook.name, cell.number, 1)
            unreadable.append(Unreadable(cell, Problem(message, place)))
            continue
        try:
            with warnings.catch_warnings():  # an invalid escape is the author's business
                warnings.simplefilter("ignore")
                tree = ast.parse(cell.source)
                flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # as Jupyter does
                compile(tree, notebook.name, "exec", flags, dont_inherit=True)
                for nodes, line, source in _pieces(cell.source, tree):
                    steps.append(_step(notebook.name, len(steps), cell, nodes, line, source))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            unreadable.append(Unreadable(cell, _syntax_problem(notebook.name, cell, error)))
    return steps, unreadable


def _syntax_problem(file: str, cell: Cell, error: Exception) -> Problem:
    line = error.lineno if isinstance(error, SyntaxError) else None
    lines = cell.source.split("\n")
    text = lines[line - 1] if line and line <= len(lines) else ""
    where = Where(file, cell.number, line)
    if _PLACEHOLDER.search(text):
        hint = "Write the code where the template says TODO."
        return Problem("this part of the template is not filled in", where, hint)
    if text.startswith("%%"):
        return Problem(f"`{text.split()[0]}` must be in the first line of its cell", where)
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    return Problem(f"this is not valid Python: {reason}", where, text.strip()[:100] or None)


def _pieces(source: str, tree: ast.Module) -> Iterator[tuple[tuple[ast.stmt, ...], int, str]]:
    """Yield the statements of a cell as (nodes, first line, text)."""
    lines = source.split("\n")
    groups: list[tuple[int, int, list[ast.stmt]]] = []
    end = 0
    for node in tree.body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        if groups and first <= end:
            first, _, nodes = groups.pop()
            nodes.append(node)
        else:
            while first - 1 > end and lines[first - 2].startswith("#"):
                first -= 1
            nodes = [node]
        end = max(end, node.end_lineno or first)
        groups.append((first, end, nodes))
    for first, end, nodes in groups:
        yield tuple(nodes), first, "\n".join(lines[first - 1 : end])


def _step(
    file: str, index: int, cell: Cell, nodes: tuple[ast.stmt, ...], line: int, source: str
) -> Step:
    names = Names(source, nodes)
    return Step(
        file=file,
        index=index,
        cell=cell,
        nodes=nodes,
        line=line,
        source=source,
        binds=names.binds,
        changes=names.changes,
        now=frozenset(names.now),
        later=frozenset(names.later),
        origins=names.origins,
    )


def star_imports(steps: Iterable[Step]) -> Iterator[tuple[Step, ast.ImportFrom]]:
    """Yield every ``from … import *`` of the steps."""
    for step in steps:
        for node in own_nodes(step.nodes):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                yield step, node


def assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield each target that a statement assigns to, with the expression of its value."""
    if isinstance(node, ast.Assign):
        yield from ((target, node.value) for target in node.targets)
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield node.target, node.value
