"""Which names of a notebook stand for values that nothing can change: numbers, texts, tuples."""

import ast
from collections.abc import Callable

from federator.notebook.slicing import known_calls
from federator.notebook.slicing.statements import Step


class FixedValues:
    """The names that are bound to unchangeable values only.

    Args:
        bindings: returns the steps that bind a name.
        dotted: returns the full name of ``a.b.c`` with imports resolved.
    """

    def __init__(
        self,
        bindings: Callable[[str], list[Step]],
        dotted: Callable[[ast.expr], str | None],
    ) -> None:
        self._bindings = bindings
        self._dotted = dotted
        self._known: dict[str, bool] = {}

    def holds(self, name: str) -> bool:
        """Whether all that a name is ever bound to are values that cannot be changed."""
        if name not in self._known:
            self._known[name] = False  # for names that are bound to themselves
            bindings = self._bindings(name)
            self._known[name] = bool(bindings) and all(
                self._binds_value(step, name) for step in bindings
            )
        return self._known[name]

    def _binds_value(self, step: Step, name: str) -> bool:
        values = [
            node.value
            for node in step.nodes
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and node.value
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name) and target.id == name
        ]
        return bool(values) and all(map(self._is_value, values))

    def _is_value(self, node: ast.expr) -> bool:
        """Whether an expression gives a number, a text or another value that cannot change."""
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.Compare):
            return True
        if isinstance(node, ast.IfExp):
            return self._is_value(node.body) and self._is_value(node.orelse)
        if isinstance(node, ast.UnaryOp):
            return self._is_value(node.operand)
        if isinstance(node, ast.BinOp):
            return self._is_value(node.left) and self._is_value(node.right)
        if isinstance(node, ast.Tuple):
            return all(map(self._is_value, node.elts))
        if isinstance(node, ast.Call):
            return known_calls.immutable(self._dotted(node.func) or "")
        return isinstance(node, ast.Name) and self.holds(node.id)
