"""What a call changes besides what it returns: the objects that it is handed, and globals.

An object is also changed through a second name (``alias = NAME; alias[1] = 3``), by the functions
of the notebook that it is handed to, by calls that are known to change what they are handed, and
by the decorators of a definition. Everything is read from the text, nothing is run.

Of ``x[i].y = 1`` the *depth* is 2. A change reaches an object whose level (:mod:`aliases`) is
below its depth.
"""

import ast
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from federator.notebook.slicing import known_calls
from federator.notebook.slicing.aliases import Aliases, Roots, lower, raised, union
from federator.notebook.slicing.definitions import Definitions, Function, parameters


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


class CallReader(ast.NodeVisitor):
    """Reads calls, and notes what each does to the objects that it is handed.

    Args:
        known: the notebook's functions and classes.
        aliases: what the names lead to where the calls stand.
        summary: returns what a function of the notebook does when it is called.
        shared: for the body of a function, the names that it declares ``global``.
    """

    def __init__(
        self,
        known: Definitions,
        aliases: Aliases,
        summary: Callable[[Function], Effects],
        shared: set[str] | None = None,
    ) -> None:
        self.effects = Effects()
        self._known, self._aliases, self._summary = known, aliases, summary
        self._shared = shared or set()
        self._entering = shared is not None
        self._dropped: set[int] = set()  # calls whose result nobody keeps, by id

    def visit_Call(self, node: ast.Call) -> None:
        """Note what one call does, after the calls inside it."""
        self.generic_visit(node)
        kept = id(node) not in self._dropped
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if known_calls.reads(self._known.dotted(node.func) or "", method):
            self.effects.reads.append(node)
        if isinstance(node.func, ast.Name) and self._known.is_ignored(node.func.id):
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
        done = self._summary(function)
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
