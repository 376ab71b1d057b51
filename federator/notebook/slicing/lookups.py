"""Which global names a statement binds and looks up, and whether at once or in a later call.

Python's own compiler decides what is local and what is global (:mod:`symtable`), so functions,
classes, comprehensions, ``global`` and ``:=`` mean here what they mean when the code runs.
"""

import ast
import symtable
from collections.abc import Iterable

_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})


class Lookups:
    """The global names of some statements.

    Attributes:
        bound: what they bind themselves, ``del x`` and ``x: int`` included.
        bound_by_functions: what their functions bind, when called, by ``global``.
        now: what they look up while they run, unless they have bound it themselves before.
        later: what their functions look up when they are called.
    """

    def __init__(self, source: str, nodes: Iterable[ast.stmt]) -> None:
        """Read statements; ``source`` is their text, ``nodes`` are what it parses to."""
        self.bound: set[str] = set()
        self.bound_by_functions: set[str] = set()
        self.now: set[str] = set()
        self.later: set[str] = set()
        table = symtable.symtable(source, "notebook", "exec")
        for symbol in table.get_symbols():
            if symbol.is_assigned() or symbol.is_imported():
                self.bound.add(symbol.get_name())
            # Referenced or not: `x += 1` is nothing but a binding to symtable.
            self.now.add(symbol.get_name())
        for child in table.get_children():
            self._enter(child, called=False)
        self.now &= _Reads(nodes).first

    def _enter(self, scope: symtable.SymbolTable, called: bool) -> None:
        if scope.get_type() == "function" and scope.get_name() not in _COMPREHENSIONS:
            called = True
        for symbol in scope.get_symbols():
            if not symbol.is_global():
                continue
            if symbol.is_assigned():
                self.bound_by_functions.add(symbol.get_name())
            (self.later if called else self.now).add(symbol.get_name())
        for child in scope.get_children():
            self._enter(child, called)


class _Reads(ast.NodeVisitor):
    """Names that a step may read before it has bound them itself, in order of evaluation."""

    def __init__(self, nodes: Iterable[ast.stmt]) -> None:
        self.first: set[str] = set()
        self._bound: set[str] = set()
        for node in nodes:
            self.visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bound.add(node.id)
        elif node.id not in self._bound:
            self.first.add(node.id)

    def visit_Assign(self, node: ast.Assign) -> None:
        for part in (node.value, *node.targets):
            self.visit(part)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for part in (node.annotation, node.value, node.target):
            if part is not None:
                self.visit(part)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name) and node.target.id not in self._bound:
            self.first.add(node.target.id)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._apart([node.target, *node.body])
        self._apart(node.orelse)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._visit_apart(node)
        self._bound.add(node.name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_apart(node)
        self._bound.add(node.name)

    def visit_alias(self, node: ast.alias) -> None:
        self._bound.add(node.asname or node.name.split(".")[0])

    def _visit_apart(self, node: ast.AST) -> None:
        for _, parts in ast.iter_fields(node):
            self._apart(parts if isinstance(parts, list) else [parts])

    def _apart(self, parts: Iterable[object]) -> None:
        """Visit parts that may not run, or run in a scope of their own: they bind nothing here."""
        before = set(self._bound)
        for part in parts:
            if isinstance(part, ast.AST):
                self.visit(part)
        self._bound = before

    visit_AsyncFor = visit_For
    visit_AsyncFunctionDef = visit_FunctionDef
    visit_If = visit_While = visit_Try = visit_TryStar = visit_ExceptHandler = _visit_apart
    visit_Match = visit_match_case = visit_Lambda = _visit_apart
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _visit_apart
