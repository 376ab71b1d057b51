"""A plain strategy: one of Flower's with given numbers, read from a text of which nothing runs.

The server and the tools read ``aggregation.py`` by this one function. What it may hold: imports of
Flower's strategies, names for numbers, texts and truth values (and for parameters of the notebook),
sums and products of those, the dictionary ``config``, and one strategy made with such values.
"""

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from federator.runtime.app_config import parameter

STRATEGIES = frozenset(
    {
        "Bulyan",
        "FedAdagrad",
        "FedAdam",
        "FedAvg",
        "FedAvgM",
        "FedMedian",
        "FedProx",
        "FedTrimmedAvg",
        "FedYogi",
        "Krum",
        "MultiKrum",
        "QFedAvg",
    }
)
"""Flower 1.42's, without its two for XGBoost, which aggregate no weights, and without those for
differential privacy. This is a list because importing Flower takes seconds. A test compares it."""

BY_FLOWER = frozenset({"Bulyan", "QFedAvg"})
"""Those that do not aggregate block by block, but by Flower's own code."""

_UNWEIGHTED = frozenset({"FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum"})
_NOT_WEIGHTED = "makes no mean of all sites by their examples, so that no share can be bounded"

MEANS = frozenset({"FedAdagrad", "FedAdam", "FedAvg", "FedAvgM", "FedProx", "FedYogi"})
"""Those that need no more than the mean of the sites' updates."""

MODULE = "flwr.serverapp.strategy"
_PARAMETER = "federator.runtime.app.parameter"
_MODULES = {"flwr", "flwr.serverapp", MODULE}

Scalar = bool | int | float | str | None
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class PlainStrategy:
    """What a text says of a strategy.

    Attributes:
        name: its class, one of ``STRATEGIES``.
        places: the values of its arguments by place.
        names: the values of its arguments by name.
        line: where it is made, from 1.
    """

    name: str
    places: tuple[Scalar, ...] = ()
    names: Mapping[str, Scalar] = field(default_factory=dict)
    line: int = 1


def unbounded(strategy: str, bounds: Collection[str]) -> str | None:
    """Return why a strategy cannot keep a bound of `robust`; None if it can.

    Args:
        strategy: its name.
        bounds: the names of those that are set.
    """
    if bounds and strategy in BY_FLOWER:
        return f"{strategy} aggregates by Flower's own code, which keeps no bounds"
    if "max_share" in bounds and strategy in _UNWEIGHTED:
        return f"{strategy} {_NOT_WEIGHTED}"
    return None


def beyond_sums(strategy: PlainStrategy | None) -> str:
    """Return why secure aggregation does not go with a strategy; empty if it does."""
    if strategy is None:
        return ""
    if strategy.name not in MEANS:
        why = "secure aggregation shows the server the sum of the sites' updates only"
        return f"{strategy.name} needs the update of each site, and {why}"
    first = strategy.places[0] if strategy.places else 1.0
    if strategy.names.get("fraction_train", first) != 1:
        why = "sums over changing sites would tell single sites' updates"
        return f"with secure aggregation all sites train in each round (fraction_train): {why}"
    return ""


class NotPlainError(Exception):
    """The text has to be run.

    Attributes:
        what: the first statement that has to, as in "it calls `schedule`".
        line: its line, from 1.
    """

    def __init__(self, what: str, line: int) -> None:
        super().__init__(f"line {line}: {what}")
        self.what, self.line = what, line


_Value = Scalar | PlainStrategy | dict[Scalar, Scalar]


def read(text: str) -> PlainStrategy | None:
    """Return the strategy that a text makes; None if it names none.

    Raises:
        NotPlainError: if that is not known without running it.
        TypeError: if a parameter is set to a value of another type (:func:`parameter`).
    """
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        raise NotPlainError("it is no valid Python", line) from None
    found = _Text()
    try:
        for statement in statements:
            found.take(statement)
    except (RecursionError, MemoryError):
        raise NotPlainError("it is nested too deeply", 1) from None
    strategy = found.values.get("strategy")
    if strategy is None or isinstance(strategy, PlainStrategy):
        return strategy
    raise NotPlainError("`strategy` is no strategy", found.lines["strategy"])


class _Text:
    """The names of a text, as far as it was read."""

    def __init__(self) -> None:
        self.values: dict[str, _Value] = {}
        self.lines: dict[str, int] = {}
        self._imported: dict[str, str] = {}
        self._made = 0

    def take(self, node: ast.stmt) -> None:
        """Take one statement in."""
        match node:
            case ast.Import() | ast.ImportFrom():
                self._import(node)
            case ast.Assign():
                for target in node.targets:
                    self._assign(target, node.value)
            case ast.AnnAssign(value=ast.expr() as value):
                self._assign(node.target, value)
            case ast.Expr(value=ast.Constant()) | ast.Pass() | ast.AnnAssign():
                pass
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                raise NotPlainError(f"it defines `{node.name}`", node.lineno)
            case _:
                raise NotPlainError(f"it runs `{_short(node)}`", node.lineno)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name, origin = alias.asname or alias.name.split(".")[0], alias.name
                whole = origin if alias.asname else name
            else:
                origin = whole = f"{'.' * node.level}{node.module or ''}.{alias.name}"
                name = alias.asname or alias.name
            module, _, last = origin.rpartition(".")
            is_strategy = module == MODULE and last in {*STRATEGIES, "Strategy"}
            if module == "__future__":
                continue
            if not (origin in _MODULES or origin == _PARAMETER or is_strategy):
                raise NotPlainError(f"it imports `{origin}`", node.lineno)
            self._imported[name] = whole
            self.values.pop(name, None)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        targets, values = [target], [value]
        if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
            targets, values = target.elts, value.elts
        if len(targets) != len(values):
            raise NotPlainError(f"it sets `{_short(target)}`", target.lineno)
        found = [self._value(one) for one in values]
        for each, one in zip(targets, found, strict=True):
            self._bind(each, one)

    def _bind(self, target: ast.expr, value: _Value) -> None:
        if isinstance(target, ast.Name):
            self.values[target.id], self.lines[target.id] = value, target.lineno
            self._imported.pop(target.id, None)
            return
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            changed = self.values.get(target.value.id)
            if isinstance(changed, dict):  # config["num_rounds"] = 3
                changed[self._scalar(target.slice)] = _as_scalar(value, target)
                return
        raise NotPlainError(f"it sets `{_short(target)}`", target.lineno)

    def _value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as constant):
                return constant
            case ast.Name() if node.id in self.values:
                return self.values[node.id]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                number = self._number(node.operand)
                return -number if isinstance(node.op, ast.USub) else number
            case ast.BinOp() if type(node.op) in _OPERATORS:
                left, right = self._number(node.left), self._number(node.right)
                try:
                    return _OPERATORS[type(node.op)](left, right)
                except ArithmeticError as error:
                    raise NotPlainError(f"`{_short(node)}`: {error}", node.lineno) from None
            case ast.Dict():
                keys = [self._scalar(key or node) for key in node.keys]
                values = [self._scalar(value) for value in node.values]
                return dict(zip(keys, values, strict=True))
            case ast.Call():
                return self._call(node)
        raise NotPlainError(f"`{_short(node)}` has to be computed", node.lineno)

    def _scalar(self, node: ast.expr) -> Scalar:
        return _as_scalar(self._value(node), node)

    def _number(self, node: ast.expr) -> float:
        number = self._value(node)
        if isinstance(number, int | float):
            return number
        raise NotPlainError(f"`{_short(node)}` is no number", node.lineno)

    def _call(self, node: ast.Call) -> _Value:
        called = self._origin(node.func)
        module, _, name = called.rpartition(".")
        spread = [one for one in node.args if isinstance(one, ast.Starred)]
        if spread or any(keyword.arg is None for keyword in node.keywords):
            raise NotPlainError(f"`{_short(node)}` has to be computed", node.lineno)
        if called == _PARAMETER and len(node.args) == 2 and not node.keywords:
            return self._parameter(node)
        names = {keyword.arg or "": keyword.value for keyword in node.keywords}
        if called == "dict" and "dict" not in self.values and not node.args:
            return {key: self._scalar(value) for key, value in names.items()}
        if module != MODULE or name not in STRATEGIES:
            raise NotPlainError(f"it calls `{_short(node.func)}`", node.lineno)
        self._made += 1
        if self._made > 1:
            raise NotPlainError("it makes a second strategy", node.lineno)
        places = tuple(self._scalar(one) for one in node.args)
        values = {key: self._scalar(one) for key, one in names.items()}
        return PlainStrategy(name, places, values, node.lineno)

    def _parameter(self, node: ast.Call) -> Scalar:
        name, default = (self._scalar(one) for one in node.args)
        if not isinstance(name, str) or default is None:
            raise NotPlainError(f"`{_short(node)}` is no parameter", node.lineno)
        chosen: Scalar = parameter(name, default)  # type: ignore[type-var]
        return chosen

    def _origin(self, node: ast.expr) -> str:
        """Return the full name of what is called, as far as imports tell; else as it stands."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        return ".".join([self._imported.get(node.id, node.id), *parts])


def _as_scalar(value: _Value, node: ast.expr) -> Scalar:
    if isinstance(value, PlainStrategy | dict):
        raise NotPlainError(f"`{_short(node)}` is no number, text or truth value", node.lineno)
    return value


def _short(node: ast.AST) -> str:
    """Return the first line of a piece of the text, as it may be shown."""
    line = ast.unparse(node).split("\n")[0]
    return line if len(line) <= 60 else f"{line[:59]}…"
