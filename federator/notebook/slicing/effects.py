"""What a statement changes besides what it names as its target.

An object is also changed through a second name (``alias = NAME; alias[1] = 3``), by the functions
of the notebook that it is handed to, by calls that are known to change what they are handed, and
by the decorators of a definition. Everything is read from the text, nothing is run.

Of ``x[i].y = 1`` the *depth* is 2. A change reaches an object whose level (:mod:`aliases`) is
below its depth.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from federator.notebook.slicing import known_calls
from federator.notebook.slicing.aliases import Aliases, Roots, lower, raised, union
from federator.notebook.slicing.definitions import Definitions, Function, parameters

_DECORATOR_LOOKERS = ("wraps", "parametrize", "update_wrapper")


@dataclass
class Effects:
    """What running some nodes does to objects that were there before.

    Attributes:
        changes: name → how deep inside its object something is changed.
        doubts: name → the call that may change its object.
        settings: full name of what is set in an imported module → where.
        reads: the calls that read files, the network or the keyboard.
    """

    changes: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, ast.AST] = field(default_factory=dict)
    settings: dict[str, ast.AST] = field(default_factory=dict)
    reads: list[ast.Call] = field(default_factory=list)

    def change(self, roots: Mapping[str, int], depth: int) -> None:
        """Note a change of that depth through what may lead to these objects."""
        for name, level in roots.items():
            if depth > level:
                self.changes[name] = max(depth - level, self.changes.get(name, 0))

    def doubt(self, roots: Iterable[str], call: ast.AST) -> None:
        """Note a call that may change these objects."""
        for name in roots:
            self.doubts.setdefault(name, call)


class EffectsReader:
    """Reads the statements of a notebook in order.

    Args:
        known: the notebook's functions and classes.
    """

    def __init__(self, known: Definitions) -> None:
        self.known = known
        self._aliases = Aliases(known)
        self._summaries: dict[int, Effects] = {}

    def read(self, nodes: Iterable[ast.AST]) -> Effects:
        """Return what the next statements do."""
        reader = _Reader(self, self._aliases)
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
        reader = _Reader(self, Aliases(self.known, names), shared)
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


class _Reader(ast.NodeVisitor):
    """Reads statements in order; with ``shared``, those of a function's body."""

    def __init__(
        self, owner: EffectsReader, aliases: Aliases, shared: set[str] | None = None
    ) -> None:
        self.effects = Effects()
        self._owner, self._known = owner, owner.known
        self._aliases = aliases
        self._shared = shared or set()
        self._entering = shared is not None
        self._dropped: set[int] = set()

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

    def _decorated(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        """Read a definition's decorators: those that register it, or patch it into a class."""
        for decorator in node.decorator_list:
            self._decorator(decorator, node)

    def _decorator(
        self,
        decorator: ast.expr,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
    ) -> None:
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

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        kept = id(node) not in self._dropped
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if known_calls.reads(self._known.dotted(node.func) or "", method):
            self.effects.reads.append(node)
        if isinstance(node.func, ast.Name) and self._known.is_silent(node.func.id):
            return
        found = self._known.callee(node.func)
        if found and not self._shadowed(node.func):
            self._run(node, *found)
        elif isinstance(node.func, ast.Name) and node.func.id in ("map", "filter") and node.args:
            self._mapped(node)
        elif isinstance(node.func, ast.Attribute) and self._is_method(node.func):
            self._method(node, node.func, kept)
        else:
            self._library(node, self._known.dotted(node.func) or "", kept)
        for keyword in node.keywords:
            if keyword.arg == "out":
                self.effects.change(self._aliases.roots(keyword.value), 1)

    def _of_module(self, node: ast.expr) -> bool:
        """Whether an expression is an attribute of something imported."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._known.imported

    def _shadowed(self, function: ast.expr) -> bool:
        return isinstance(function, ast.Name) and self._entering and function.id in self._aliases

    def _is_method(self, function: ast.Attribute) -> bool:
        """Whether a call is that of an object's method, and not of a module's function."""
        owner: ast.expr = function
        while isinstance(owner, ast.Attribute | ast.Subscript | ast.Call):
            owner = owner.func if isinstance(owner, ast.Call) else owner.value
        if not isinstance(owner, ast.Name) or owner.id in ("dict", "list", "set", "object"):
            return False
        return owner.id in self._aliases or owner.id not in self._known.imported

    def _run(self, call: ast.Call, function: Function, bound: bool) -> None:
        """Note what a function of the notebook does to what it is handed, and to globals."""
        done = self._owner.summary(function)
        handed = dict(self._handed(call, function, bound))
        for name, depth in done.changes.items():
            if name.startswith("#"):
                self.effects.change(handed.get(name[1:], {}), depth)
            else:
                self.effects.change({name: 0}, depth)
        self.effects.settings |= dict.fromkeys(done.settings, call)
        self.effects.reads += [call] if done.reads else []
        for name in done.doubts:
            roots = handed.get(name[1:], {}) if name.startswith("#") else {name: 0}
            self.effects.doubt(roots, call)

    def _handed(
        self, call: ast.Call, function: Function, bound: bool
    ) -> Iterator[tuple[str, Roots]]:
        """Yield the parameters of a function with what a call hands to each."""
        spec = function.args
        names = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
        if bound and names:
            owner = call.func.value if isinstance(call.func, ast.Attribute) else None
            yield names.pop(0), self._aliases.roots(owner)
        for place, value in enumerate(call.args):
            if isinstance(value, ast.Starred):
                for name in names[place:]:
                    yield name, lower(self._aliases.roots(value.value))
                break
            if place < len(names):
                yield names[place], self._aliases.roots(value)
        beyond = [self._aliases.roots(value) for value in call.args[len(names) :]]
        if spec.vararg and beyond:
            yield spec.vararg.arg, raised(union(*beyond), 1)
        taken = {argument.arg for argument in parameters(function)}
        for keyword in call.keywords:
            if keyword.arg in taken:
                yield str(keyword.arg), self._aliases.roots(keyword.value)
            elif keyword.arg is None:
                for name in taken:
                    yield name, lower(self._aliases.roots(keyword.value))

    def _mapped(self, call: ast.Call) -> None:
        """Read ``map(function, values)`` as a call with an element."""
        elements: list[ast.expr] = [
            ast.Subscript(value, ast.Constant(0), ast.Load()) for value in call.args[1:]
        ]
        inner = ast.copy_location(ast.Call(call.args[0], elements, []), call)
        if found := self._known.callee(call.args[0]):
            self._run(inner, *found)
        elif isinstance(call.args[0], ast.Name | ast.Attribute):
            dotted = self._known.dotted(call.args[0]) or ""
            self._library(inner, dotted, kept=True)
            if known_calls.reads(dotted, ""):
                self.effects.reads.append(inner)

    def _method(self, call: ast.Call, function: ast.Attribute, kept: bool) -> None:
        roots = self._aliases.roots(function.value)
        if known_calls.method_changes(function.attr, call):
            self.effects.change(roots, 1)
        elif known_calls.method_may_change(function.attr, kept):
            self.effects.doubt(roots, call)
        if known_calls.random_in_place(function.attr):
            self.effects.doubt(union(*map(self._aliases.roots, call.args)), call)

    def _library(self, call: ast.Call, dotted: str, kept: bool) -> None:
        if known_calls.sets(dotted) and self._of_module(call.func) and not kept:
            self.effects.settings[dotted] = call
        if known_calls.changes_first(dotted) and call.args:
            self.effects.change(self._aliases.roots(call.args[0]), 1)
        elif known_calls.may_change(dotted, kept):
            values = (*call.args, *(keyword.value for keyword in call.keywords))
            self.effects.doubt(union(*map(self._aliases.roots, values)), call)

    visit_AsyncFor = visit_For
    visit_AsyncWith = visit_With
    visit_AsyncFunctionDef = visit_FunctionDef
    visit_Attribute = visit_Subscript = _stored
    visit_If = visit_While = visit_Try = visit_TryStar = visit_Match = _visit_branches
    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = _comprehension
