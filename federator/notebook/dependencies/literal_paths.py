"""Paths that a program spells out in full, and the names that hold them."""

import ast
from collections.abc import Iterable, Iterator

from federator.notebook.slicing.imports import last_word

PATH_CLASSES = frozenset({"Path", "PurePath", "PosixPath", "PurePosixPath"})


class LiteralPaths:
    """The paths that some modules spell out, by the names that hold them."""

    def __init__(self, trees: Iterable[ast.Module]) -> None:
        self._held: dict[str, list[str]] = {}
        for node in (node for tree in trees for node in ast.walk(tree)):
            for name, value in _holders(node):
                if (path := literal_path(value)) is not None:
                    self._held.setdefault(name, []).append(path)

    def of(self, node: ast.expr) -> list[str]:
        """Return the path that an expression spells out, or those that its name may hold."""
        literal = literal_path(node)
        return self._held.get(_held_by(node), []) if literal is None else [literal]


def _holders(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield names with the values that a node gives them."""
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((_held_by(target), value) for target in targets)
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            yield _held_by(target), value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        case ast.arguments():
            positional = [*node.posonlyargs, *node.args]
            if node.defaults:
                defaulted = positional[-len(node.defaults) :]
                yield from ((a.arg, v) for a, v in zip(defaulted, node.defaults, strict=True))
            for one, default in zip(node.kwonlyargs, node.kw_defaults, strict=True):
                if default is not None:
                    yield one.arg, default
        case ast.keyword(arg=str(name), value=value):
            yield name, value


def _held_by(node: ast.expr) -> str:
    """Return the name, attribute or key that an expression looks up; nothing for any other."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""


def literal_path(node: ast.expr) -> str | None:
    """Return a path that is spelled out: as a text, by ``Path``, ``join``, ``/`` or ``+``."""
    match node:
        case ast.Constant(value=str(text)):
            return text if "\n" not in text and 0 < len(text) < 256 else None
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as op, right=right):
            first, second = literal_path(left), literal_path(right)
            if first is None or second is None:
                return None
            return f"{first}/{second}" if isinstance(op, ast.Div) else first + second
        case ast.Call(func=function, args=args, keywords=[]):
            word = last_word(function)
            if word in ("cwd", "getcwd") and not args:
                return "."
            joins = (
                word == "join"
                and isinstance(function, ast.Attribute)
                and last_word(function.value) == "path"
            )
            if not joins and word not in PATH_CLASSES:
                return None
            parts = [literal_path(argument) for argument in args]
            known = [part for part in parts if part is not None]
            return "/".join(known) if known and len(known) == len(parts) else None
    return None


def joined(node: ast.AST) -> list[ast.expr]:
    """Return the parts of a path that is not spelled out in full."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.Call(func=function, args=args):
            word = last_word(function)
            return args if word in PATH_CLASSES or word.startswith("join") else []
        case ast.JoinedStr(values=values):
            return [one.value for one in values if isinstance(one, ast.FormattedValue)]
    return []


def opens_to_write(call: ast.Call) -> bool:
    """Whether a call opens a file to write it."""
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    return last_word(call.func) == "open" and any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and set(mode.value) & {*"wax"}
        for mode in modes
    )
