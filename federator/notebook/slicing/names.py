"""What a statement does with global names: which it binds, changes, and looks up now or later.

Python's own compiler decides what is local and what is global (:mod:`symtable`), so functions,
classes, comprehensions, ``global`` and ``:=`` mean here what they mean when the code runs.
"""

import ast
import symtable
from collections.abc import Iterable, Iterator, Sequence

from federator.notebook.slicing.known_calls import CHANGERS

_COMPREHENSIONS = frozenset({"listcomp", "setcomp", "dictcomp", "genexpr"})
_CONDITIONAL = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def own_nodes(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk over nodes, in order, without entering functions and classes."""
    todo = list(nodes)[::-1]
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, _SCOPES):
            todo += list(ast.iter_child_nodes(node))[::-1]


class Names:
    """The global names of some statements.

    Attributes:
        binds: names that they bind → whether they surely do (a name bound under ``if`` is not).
        changes: names whose object they change: by item, attribute, ``+=``, ``append`` and so on.
        now: names that they look up while they run, unless they have bound them before.
        later: names that their functions look up when they are called.
        origins: names that they import → where from, dotted.
    """

    def __init__(self, source: str, nodes: Sequence[ast.stmt]) -> None:
        """Read statements; ``source`` is their text, ``nodes`` are what it parses to."""
        own = list(own_nodes(nodes))
        self.changes = frozenset(_changed(own))
        self.now: set[str] = set()
        self.later: set[str] = set()
        self.origins: dict[str, str] = {}
        self._bound_by_functions: set[str] = set()  # by `global`, when they are called
        bound: set[str] = set()
        table = symtable.symtable(source, "notebook", "exec")
        for symbol in table.get_symbols():
            if symbol.is_assigned() or symbol.is_imported():
                bound.add(symbol.get_name())
            # Referenced or not: `x += 1` is nothing but a binding to symtable.
            self.now.add(symbol.get_name())
        for child in table.get_children():
            self._enter(child, called=False)
        self.now &= _Reads(nodes).first
        submodules: set[str] = set()
        unbound: set[str] = set()  # by `del x` and by `x: int`, which symtable counts as bound
        for node in own:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.split(".")[0]
                    self.origins[alias.asname or root] = alias.name if alias.asname else root
                    if "." in alias.name and not alias.asname:
                        submodules.add(root)
            elif isinstance(node, ast.ImportFrom) and node.module:
                self.origins |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            elif isinstance(node, ast.Delete):
                unbound |= {target.id for target in node.targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                unbound |= {node.target.id} if node.value is None else set()
            elif isinstance(node, ast.NamedExpr):
                bound.add(node.target.id)
        sure = not any(isinstance(node, _CONDITIONAL) for node in nodes)
        self.binds = dict.fromkeys(self._bound_by_functions, False)
        # What is bound under `if` may not be, and `import a.b` adds to what `import a.c` brought.
        self.binds |= {name: sure and name not in submodules for name in sorted(bound - unbound)}

    def _enter(self, scope: symtable.SymbolTable, called: bool) -> None:
        if scope.get_type() == "function" and scope.get_name() not in _COMPREHENSIONS:
            called = True
        for symbol in scope.get_symbols():
            if not symbol.is_global():
                continue
            if symbol.is_assigned():
                self._bound_by_functions.add(symbol.get_name())
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


def _changed(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        target: ast.expr | None = None
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            target = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            target = node.func.value if node.func.attr in CHANGERS else None
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        if isinstance(target, ast.Name):
            yield target.id
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
