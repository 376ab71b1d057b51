"""Reads a notebook in order, and keeps what each statement changes, and by which name."""

import ast
from collections.abc import Iterable, Iterator

from federator.notebook.slicing.aliases import Aliases, Roots, lower
from federator.notebook.slicing.definitions import Definitions, Function, parameters
from federator.notebook.slicing.effects import CallReader, Effects
from federator.notebook.slicing.statements import Definition

# Decorators that look at what they are handed and change nothing.
_DECORATOR_LOOKERS = ("wraps", "parametrize", "update_wrapper")


class EffectsReader:
    """Reads the statements of a notebook in order.

    Args:
        known: the notebook's functions and classes.
    """

    def __init__(self, known: Definitions) -> None:
        self._known = known
        self._aliases = Aliases(known)
        self._summaries: dict[int, Effects] = {}

    def read(self, nodes: Iterable[ast.AST]) -> Effects:
        """Return what the next statements do."""
        reader = _Reader(self._known, self._aliases, self.summary)
        for node in nodes:
            reader.visit(node)
        return reader.effects

    def summary(self, function: Function) -> Effects:
        """Return what a call does: to the function's parameters (#name), and to globals."""
        if id(function) not in self._summaries:
            self._summaries[id(function)] = Effects()  # for functions that call themselves
            self._summaries[id(function)] = self._inside(function)
        return self._summaries[id(function)]

    def _inside(self, function: Function) -> Effects:
        shared = {
            name
            for node in ast.walk(function)
            if isinstance(node, ast.Global)
            for name in node.names
        }
        names: dict[str, Roots] = {name: {} for name in _bound(function) if name not in shared}
        names |= {argument.arg: {f"#{argument.arg}": 0} for argument in parameters(function)}
        for extra in (function.args.vararg, function.args.kwarg):
            if extra:
                names[extra.arg] = {f"#{extra.arg}": 1}
        reader = _Reader(self._known, Aliases(self._known, names), self.summary, shared)
        body = [function.body] if isinstance(function, ast.Lambda) else function.body
        for node in body:
            reader.visit(node)
        return reader.effects


def _bound(function: Function) -> Iterator[str]:
    """Yield the names that a function binds for itself."""
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif node is not function and isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


class _Reader(CallReader):
    """Reads statements in order; with ``shared``, those of a function's body."""

    def _bind(self, target: ast.expr, roots: Roots, value: ast.expr | None = None) -> None:
        self.visit(target)
        self._aliases.bind(target, roots, value)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self._shared and not isinstance(node.ctx, ast.Load):
            self.effects.change({node.id: 0}, 1)

    def visit_Assign(self, node: ast.Assign) -> None:
        self._keep(node.value, node.targets)
        self.visit(node.value)
        roots = self._aliases.roots(node.value)
        for target in node.targets:
            self._bind(target, roots, node.value)
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        self._aliases.same(names)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
            self._bind(node.target, self._aliases.roots(node.value), node.value)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bind(node.target, self._aliases.roots(node.value), node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self.visit(node.target)
        self.effects.change(self._aliases.roots(node.target), 1)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._bind(node.target, lower(self._aliases.roots(node.iter)))
        for part in (*node.body, *node.orelse):
            self.visit(part)

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, self._aliases.roots(item.context_expr))
        for part in node.body:
            self.visit(part)

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
    ) -> None:
        bound = (n for one in node.generators for n in ast.walk(one.target))
        with self._aliases.apart(n.id for n in bound if isinstance(n, ast.Name)):
            for one in node.generators:
                self.visit(one.iter)
                self._aliases.bind(one.target, lower(self._aliases.roots(one.iter)))
                for condition in one.ifs:
                    self.visit(condition)
            parts = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
            for part in parts:
                self.visit(part)

    def visit_Expr(self, node: ast.Expr) -> None:
        self._keep(node.value, [])
        self.visit(node.value)

    def _keep(self, value: ast.expr, targets: list[ast.expr]) -> None:
        """Note a call whose result nobody looks at: none is named, or it is called `_`."""
        if all(isinstance(target, ast.Name) and target.id == "_" for target in targets):
            self._dropped.add(id(value))

    def _visit_branches(self, node: ast.AST) -> None:
        with self._aliases.branch():
            self.generic_visit(node)

    def _stored(self, node: ast.Attribute | ast.Subscript) -> None:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            self.effects.change(self._aliases.roots(node.value), 1)
            inner = node.value if isinstance(node, ast.Subscript) else node
            if self._of_module(inner):
                self.effects.settings[self._known.dotted(inner) or ""] = node

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._decorated(node)
        if self._entering:
            with self._aliases.apart(argument.arg for argument in parameters(node)):
                for part in node.body:
                    self.visit(part)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._decorated(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        if self._entering:
            self.visit(node.body)

    def _decorated(self, node: Definition) -> None:
        """Read a definition's decorators: those that register it, or patch it into a class."""
        for decorator in node.decorator_list:
            self._decorator(decorator, node)

    def _decorator(self, decorator: ast.expr, node: Definition) -> None:
        called = decorator if isinstance(decorator, ast.Call) else None
        function = called.func if called else decorator
        dotted = self._known.dotted(function) or ""
        last = dotted.rsplit(".", 1)[-1]
        if found := self._known.callee(function):
            handed = ast.Call(function, [ast.Name(node.name, ast.Load())], [])
            call = called or ast.copy_location(handed, function)
            self._run(call, *found)
        elif isinstance(function, ast.Attribute):  # `@REGISTRY.register("x")`
            self.effects.change(self._aliases.roots(function.value), 1)
        if last in ("patch", "patch_property") and not isinstance(node, ast.ClassDef):
            for argument in parameters(node)[:1]:
                self.effects.change(self._aliases.roots(argument.annotation), 1)
        elif called and last not in _DECORATOR_LOOKERS:
            for value in (*called.args, *(k.value for k in called.keywords)):
                if not self._known.callee(function):
                    self.effects.change(self._aliases.roots(value), 1)

    visit_AsyncFor = visit_For
    visit_AsyncWith = visit_With
    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Attribute = visit_Subscript = _stored
    visit_If = visit_While = visit_Try = visit_TryStar = visit_Match = _visit_branches
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension
