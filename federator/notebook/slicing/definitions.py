"""The functions and classes that a notebook defines, and which of them a call runs."""

import ast
from collections.abc import Callable, Collection, Iterable

Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_SEEDS = ("seed", "determinis")


class Definitions:
    """The functions and classes of a notebook, by name; the last of each counts.

    Args:
        nodes: the notebook's statements, in order.
        dotted: gives the full name of ``a.b.c`` with imports resolved.
        imported: the names that an import binds.
        ignored: functions whose calls are no business of the slice: the contract's own.
    """

    def __init__(
        self,
        nodes: Iterable[ast.AST],
        dotted: Callable[[ast.expr], str | None],
        imported: Collection[str],
        ignored: Iterable[str],
    ) -> None:
        self.dotted = dotted
        self.imported = imported
        self._ignored = frozenset(ignored)
        self._functions: dict[str, Function] = {}
        self._classes: dict[str, ast.ClassDef] = {}
        self._instances: dict[str, str] = {}
        for node in nodes:
            self._define(node)

    def _define(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._functions[node.name] = node
        elif isinstance(node, ast.ClassDef):
            self._classes[node.name] = node
        elif isinstance(node, ast.Assign):
            made = node.value.func if isinstance(node.value, ast.Call) else None
            for target in (t for t in node.targets if isinstance(t, ast.Name)):
                if isinstance(node.value, ast.Lambda):
                    self._functions[target.id] = node.value
                if isinstance(made, ast.Name):
                    self._instances[target.id] = made.id

    def is_ignored(self, name: str) -> bool:
        """Whether calls of a function are not looked into."""
        return name in self._ignored or any(part in name.lower() for part in _SEEDS)

    def callee(self, function: ast.expr) -> tuple[Function, bool] | None:
        """Return the notebook's function that a call runs, and whether it is handed an object."""
        if isinstance(function, ast.Lambda):
            return function, False
        if isinstance(function, ast.Name):
            if function.id in self._classes:
                found = self._method(function.id, "__init__")
                return (found, True) if found else None
            known = self._functions.get(function.id)
            return (known, False) if known else None
        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner = function.value.id
            if owner in self._classes:
                found = self._method(owner, function.attr)
                return (found, False) if found else None
            found = self._method(self._instances.get(owner, ""), function.attr)
            return (found, True) if found else None
        return None

    def is_class(self, name: str) -> bool:
        """Whether the notebook defines a class of that name."""
        return name in self._classes

    def _method(self, name: str, method: str, depth: int = 5) -> Function | None:
        found = self._classes.get(name)
        if not found or not depth:
            return None
        for node in found.body:
            if isinstance(node, ast.FunctionDef) and node.name == method:
                return node
        bases = (base.id for base in found.bases if isinstance(base, ast.Name))
        inherited = (self._method(base, method, depth - 1) for base in bases)
        return next((one for one in inherited if one), None)


def parameters(function: Function) -> list[ast.arg]:
    """Return the parameters of a function that have a name each."""
    spec = function.args
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
