"""The objects behind the names of a notebook: which names share one, as ``alias = NAME`` does.

Each name leads to objects, each with a *level*: 0, the name is that object (or a view of it);
1, a container that holds it or its elements; 2, a container of those; -1, something inside it.
"""

import ast
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from federator.notebook.slicing import known_calls
from federator.notebook.slicing.definitions import Definitions

Roots = dict[str, int]


class Aliases:
    """What each name leads to; a name of which nothing is known leads to an object of its own.

    Args:
        known: the notebook's functions and classes.
        inside: what the names inside a function lead to; None at the top level of a notebook.
    """

    def __init__(self, known: Definitions, inside: dict[str, Roots] | None = None) -> None:
        self._known = known
        self._inside = inside is not None
        self._aliases = dict(inside or {})
        self._branches = 0

    def __contains__(self, name: str) -> bool:
        return name in self._aliases

    @contextmanager
    def apart(self, shadowed: Iterable[str] = ()) -> Iterator[None]:
        """Read what has names of its own: a comprehension, or a function inside another."""
        before = dict(self._aliases)
        self._aliases |= {name: {} for name in shadowed}
        yield
        self._aliases = before

    @contextmanager
    def branch(self) -> Iterator[None]:
        """Read what may not run: a name may still lead to what it led to before."""
        self._branches += 1
        yield
        self._branches -= 1

    def same(self, names: list[str]) -> None:
        """Note that names lead to one object: ``a = b = []``."""
        self._aliases |= dict.fromkeys(names, union(*(self._aliases[name] for name in names)))

    def roots(self, node: ast.AST | None) -> Roots:
        """Return what an expression may lead to."""
        if isinstance(node, ast.Name):
            return self._aliases.get(node.id, {node.id: 0})
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Await | ast.Starred):
            return lower(self.roots(node.value))
        if isinstance(node, ast.NamedExpr):
            return self.roots(node.value)
        if isinstance(node, ast.IfExp):
            return union(self.roots(node.body), self.roots(node.orelse))
        if isinstance(node, ast.BoolOp):
            return union(*map(self.roots, node.values))
        if isinstance(node, ast.Tuple | ast.List | ast.Set):
            return raised(union(*map(self.roots, node.elts)), 1)
        if isinstance(node, ast.Dict):
            return raised(union(*map(self.roots, node.values)), 1)
        return self._result(node) if isinstance(node, ast.Call) else {}

    def _result(self, call: ast.Call) -> Roots:
        """Return what the result of a call may lead to."""
        given = union(*map(self.roots, (*call.args, *(k.value for k in call.keywords))))
        if isinstance(call.func, ast.Name) and self._known.is_class(call.func.id):
            return raised(given, 1)
        level = known_calls.level(self._known.dotted(call.func), None)
        if level is not None:
            return _contained(given, level)
        if isinstance(call.func, ast.Attribute):
            level = known_calls.level(None, call.func.attr)
            if level is not None:
                return _contained(self.roots(call.func.value), level)
        return {}

    def bind(self, target: ast.expr, roots: Roots, value: ast.expr | None = None) -> None:
        """Note what a target leads to from now on; ``value`` is what is assigned, if one is."""
        if isinstance(target, ast.Name):
            here = self._aliases.get(target.id, {target.id: 0}) if self._branches else {}
            own = {} if self._inside else {target.id: 0}
            if not self._branches:
                led = [name for name, others in self._aliases.items() if target.id in others]
                for name in led:
                    others = self._aliases[name]
                    self._aliases[name] = {n: at for n, at in others.items() if n != target.id}
            roots = {n: at for n, at in roots.items() if n != target.id}
            self._aliases[target.id] = union(own, here, roots)
            for name in own and [n for n, at in roots.items() if at == 0]:
                # The other way round, too: the other may be bound anew, and this be kept.
                self._aliases[name] = union(self._aliases.get(name, {name: 0}), own)
        elif isinstance(target, ast.Starred):
            self.bind(target.value, raised(roots, 1))
        elif isinstance(target, ast.Tuple | ast.List):
            pairs: list[ast.expr] = []
            if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
                pairs = value.elts
            found = [self.roots(one) for one in pairs] or [lower(roots)] * len(target.elts)
            for one, leads in zip(target.elts, found, strict=True):
                self.bind(one, leads)
        elif isinstance(target, ast.Attribute | ast.Subscript) and roots:
            self._hold(target, roots)

    def _hold(self, target: ast.Attribute | ast.Subscript, roots: Roots) -> None:
        """Note that an object holds another from now on."""
        owner: ast.expr = target
        depth = 0
        while isinstance(owner, ast.Attribute | ast.Subscript):
            owner, depth = owner.value, depth + 1
        if isinstance(owner, ast.Name):
            held = {n: at for n, at in raised(roots, depth).items() if n != owner.id}
            here = self._aliases.get(owner.id, {owner.id: 0})
            self._aliases[owner.id] = union(here, held)


def _contained(roots: Roots, how: int) -> Roots:
    """Return what a view (0), a copy (1), or tuples of the elements (2) lead to."""
    if how == 1:
        return {name: max(1, level) for name, level in roots.items()}
    return raised(roots, how // 2)


def lower(roots: Roots) -> Roots:
    """Return what an element or attribute of something leads to."""
    return raised(roots, -1)


def raised(roots: Roots, by: int) -> Roots:
    """Return what a container, or a container of containers, of something leads to."""
    return {name: level + by for name, level in roots.items()}


def union(*several: Roots) -> Roots:
    """Return what one of several expressions leads to."""
    found: Roots = {}
    for roots in several:
        for name, level in roots.items():
            found[name] = min(level, found.get(name, level))
    return found
