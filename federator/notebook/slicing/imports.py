"""The imports in a piece of Python, and whether the code can do without them."""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from federator.errors import Where

Need = Literal["always", "optional", "typing"]

_TOLERANT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_ENDS = frozenset({"exit", "quit", "_exit", "abort"})


@dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        module: its dotted name; of a relative import, without the dots in front.
        where: the place of the import.
        names: what ``from module import …`` takes out of it: values, or modules inside it.
        level: the dots in front of a relative import.
        need: ``optional`` for an import whose failure the code catches, ``typing`` for one that
            is never carried out.
        instead_of: modules whose failed import leads to this one.
    """

    module: str
    where: Where
    names: tuple[str, ...] = ()
    level: int = 0
    need: Need = "always"
    instead_of: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        """The first part of the module's name."""
        return self.module.partition(".")[0]

    @property
    def paths(self) -> tuple[str, ...]:
        """The dotted names that it may stand for, those of the taken names included."""
        return tuple(f"{self.module}.{name}" for name in self.names if name != "*") or (
            self.module,
        )

    def __str__(self) -> str:
        if not self.names:
            return f"import {self.module}"
        return f"from {'.' * self.level}{self.module} import {', '.join(self.names)}"


def found(nodes: Iterable[ast.AST], where: Callable[[ast.AST], Where]) -> Iterator[Import]:
    """Yield the imports in nodes, those inside functions and ``import_module("name")`` too.

    Args:
        nodes: what to look through, in order.
        where: returns the place of a node.
    """
    for node in nodes:
        match node:
            case ast.Import(names=aliases):
                yield from (Import(alias.name, where(node)) for alias in aliases)
            case ast.ImportFrom(module=module, names=aliases, level=level):
                names = tuple(alias.name for alias in aliases)
                yield Import(module or "", where(node), names, level)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _imports(node.func):
                if not name.startswith("."):
                    yield Import(name, where(node))
                yield from found(ast.iter_child_nodes(node), where)
            case ast.Try() | ast.TryStar():
                yield from _tried(node, where)
            case ast.If():
                yield from _under_condition(node, where)
            case ast.With(items=items) if any(map(_suppresses, items)):
                yield from _as(found(node.body, where), "optional")
            case _:
                yield from found(ast.iter_child_nodes(node), where)


def _tried(node: ast.Try | ast.TryStar, where: Callable[[ast.AST], Where]) -> Iterator[Import]:
    tolerant = [handler for handler in node.handlers if _is_tolerant(handler)]
    tried = list(found(node.body, where))
    yield from _as(tried, "optional") if any(not _ends(one) for one in tolerant) else tried
    attempted = tuple(one.module for one in tried if not one.level)
    for handler in node.handlers:
        for one in found([handler], where):
            yield replace(one, instead_of=attempted) if handler in tolerant else one
    yield from found([*node.orelse, *node.finalbody], where)


def _under_condition(node: ast.If, where: Callable[[ast.AST], Where]) -> Iterator[Import]:
    test, then, otherwise = node.test, node.body, node.orelse
    yield from found([test], where)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        test, then, otherwise = test.operand, otherwise, then
    first = found(then, where)
    if last_word(test) == "TYPE_CHECKING":
        first = _as(first, "typing")
    elif any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(test)):
        first = iter(())  # of a script: what imports it as a module does not come here
    elif any(isinstance(n, ast.Call) and last_word(n.func) == "find_spec" for n in ast.walk(test)):
        first = _as(first, "optional")
    yield from first
    yield from found(otherwise, where)


def _as(imports: Iterable[Import], need: Need) -> Iterator[Import]:
    for one in imports:
        yield one if one.need == "typing" else replace(one, need=need)


def _is_tolerant(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches a failed import."""
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(last_word(one) in _TOLERANT for one in types)


def _ends(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends in another exception, or ends the program."""
    last = handler.body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        return last_word(last.value.func) in _ENDS
    return isinstance(last, ast.Raise)


def _suppresses(item: ast.withitem) -> bool:
    call = item.context_expr
    return (
        isinstance(call, ast.Call)
        and last_word(call.func) == "suppress"
        and any(last_word(one) in _TOLERANT for one in call.args)
    )


def _imports(function: ast.expr) -> bool:
    return last_word(function) in ("import_module", "__import__")


def last_word(node: ast.expr) -> str:
    """Return the name that an expression ends in: ``c`` of ``a.b.c``; nothing for any other."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
