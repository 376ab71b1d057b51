"""The small files beside a notebook that its code reads by name: ``open("vocab.txt")``.

Only what is read by a whole, literal path travels. What is read through ``load_data``'s folder is
a site's data, and so is what looks like a table or numbers: of that, the author's own copy must
not leave the machine. In doubt nothing travels, and it is told.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from federator.errors import Problem, Where
from federator.notebook.dependencies.notebook_folder import LocalFile, NotebookFolder, Unfit
from federator.notebook.slicing.definitions import parameters
from federator.notebook.slicing.imports import last_word

_DATA = frozenset(
    {
        *(".arrow", ".avi", ".bmp", ".csv", ".dcm", ".feather", ".gif", ".gz", ".h5", ".hdf5"),
        *(".jpeg", ".jpg", ".jsonl", ".lmdb", ".mat", ".mp4", ".ndjson", ".nii", ".npy", ".npz"),
        *(".orc", ".parquet", ".png", ".sas7bdat", ".sav", ".sqlite", ".db", ".svs", ".tab"),
        *(".tar", ".tfrecord", ".tif", ".tiff", ".tsv", ".xls", ".xlsx", ".zip"),
    }
)
_WEIGHTS = frozenset({".bin", ".ckpt", ".onnx", ".pt", ".pth", ".safetensors", ".weights"})
_DATA_FOLDERS = frozenset({"data", "dataset", "datasets"})

# Calls that read nothing, by the start of their last word.
_OTHER_CALLS = (
    *("add_", "append", "debug", "dump", "endswith", "error", "exception", "exists", "format"),
    *("getattr", "get_logger", "getLogger", "info", "is_file", "isfile", "join", "log", "makedirs"),
    *("mkdir", "print", "remove", "rename", "replace", "save", "set_title", "split", "startswith"),
    *("strftime", "strip", "to_", "unlink", "warn", "write"),
)
# Calls that read what they are handed, whatever else they take.
_READERS = ("from_", "fromfile", "genfromtxt", "imread", "load", "open", "parse", "read", "safe_")
# What reads the path that it is a method of.
_PATH_READERS = frozenset({"open", "read_bytes", "read_text"})
_PATHS = frozenset({"Path", "PurePath", "PosixPath", "PurePosixPath"})


@dataclass(frozen=True)
class Source:
    """A statement or a module in which files may be read.

    Attributes:
        tree: what it parses to.
        file: where its lines are.
        cell: the notebook's cell, if it is in one.
        above: how many lines of that cell or file are above it.
    """

    tree: ast.Module
    file: str
    cell: int | None = None
    above: int = 0

    def where(self, node: ast.expr) -> Where:
        """Return the place of a node."""
        return Where(self.file, self.cell, node.lineno + self.above)


@dataclass
class Assets:
    """The files that some code reads: what travels, and what is doubtful or cannot."""

    files: dict[str, LocalFile] = field(default_factory=dict)
    places: dict[str, Where] = field(default_factory=dict)
    warnings: list[Problem] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find(sources: Iterable[Source], folder: NotebookFolder) -> Assets:
    """Find the files beside a notebook that its code reads by name."""
    found = Assets()
    told: set[str] = set()
    reader = _Reader(sources)
    for read in reader.reads():
        path = PurePosixPath(read.path).as_posix()
        if path in found.files or path in told:
            continue
        if not folder.has(path):
            if read.as_folder and folder.has_folder(path):
                told.add(path)
                message = f"the folder `{path}` is read here and does not travel with the app"
                hint = "Read its text files one by one; or put it into each site's data folder."
                found.warnings.append(Problem(message, read.where, hint))
            continue
        if reason := _not_taken(path, read, read.in_load_data and reader.folderless):
            told.add(path)
            message = f"`{path}` is read here and does not travel with the app: {reason[0]}"
            found.warnings.append(Problem(message, read.where, reason[1]))
            continue
        try:
            found.files[path] = folder.read(path)
            found.places[path] = read.where
        except Unfit as error:
            told.add(path)
            hint = "Shorten it, or put it into each site's data folder and read it from data_path."
            found.problems.append(Problem(f"`{path}` {error}", read.where, hint))
    return found


def _not_taken(path: str, read: "_Read", as_data: bool) -> tuple[str, str] | None:
    """Return why a file that is read does not travel, and what to do; None if it does."""
    pure = PurePosixPath(path)
    suffix = pure.suffix.lower()
    if suffix in _WEIGHTS:
        hint = "Name it in federation.yaml (initial_weights:), or write what is needed as JSON."
        return "it is not text", hint
    if as_data or suffix in _DATA or not _DATA_FOLDERS.isdisjoint(pure.parts[:-1]):
        hint = "Read it from data_path. What is no data of patients travels as JSON or text."
        return "it looks like a site's data", hint
    if read.in_doubt:
        hint = f'Read it by open("{path}") if it is to travel, or from data_path if it is data.'
        return "it may be looked for in another folder", hint
    return None


@dataclass(frozen=True)
class _Read:
    path: str
    where: Where
    in_load_data: bool
    as_folder: bool
    in_doubt: bool


class _Reader:
    """Finds literal paths that are handed to calls, directly or by a name that holds one."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = list(sources)

    @cached_property
    def _load_data(self) -> ast.FunctionDef | None:
        nodes = (node for source in self._sources for node in source.tree.body)
        named = (n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == "load_data")
        return next(named, None)

    @cached_property
    def folderless(self) -> bool:
        """Whether ``load_data`` takes no folder: what it reads by name is in the data folder."""
        return bool(self._load_data) and not self._load_data_takes

    @property
    def _load_data_takes(self) -> list[str]:
        return [one.arg for one in parameters(self._load_data)] if self._load_data else []

    @cached_property
    def _data_path(self) -> str | None:
        return next(iter(self._load_data_takes), None)

    @cached_property
    def _held(self) -> Mapping[str, list[str]]:
        """Literal paths, by the names, attributes, keys and parameters that hold them."""
        held: dict[str, list[str]] = {}
        for source in self._sources:
            for node in ast.walk(source.tree):
                for name, value in _holders(node):
                    if (path := _literal(value)) is not None:
                        held.setdefault(name, []).append(path)
        return held

    def reads(self) -> Iterator[_Read]:
        """Yield what is read, in order."""
        for source in self._sources:
            for node in source.tree.body:
                parts = {id(part) for outer in ast.walk(node) for part in _joined(outer)}
                for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
                    if id(call) in parts:
                        continue
                    as_folder = last_word(call.func).startswith(("from_", "load"))
                    for path, in_doubt in self._paths(call):
                        inside = node is self._load_data
                        yield _Read(path, source.where(call), inside, as_folder, in_doubt)

    def _paths(self, call: ast.Call) -> Iterator[tuple[str, bool]]:
        """Yield the literal paths that a call is handed, and whether it may not read them there."""
        word = last_word(call.func)
        whole = _literal(call)
        if whole is not None:
            yield whole, False
            return
        if word in _PATH_READERS:
            owner = _owner(call.func)
            literal = _literal(owner)
            held = self._held.get(_held_by(owner), [])
            yield from ((path, False) for path in ([literal] if literal is not None else held))
        if word.startswith(_OTHER_CALLS) or word in _PATHS or _writes(call):
            return
        every = [*call.args, *(keyword.value for keyword in call.keywords)]
        if any(self._data_path in _names(argument) for argument in every):
            return
        reads = word.startswith(_READERS)
        for argument in every:
            literal = _literal(argument)
            held = self._held.get(_held_by(argument), [])
            others = [one for one in every if one is not argument]
            first = argument in call.args[:1] or argument not in call.args
            clear = first and (reads or all(map(_is_plain, others)))
            for path in [literal] if literal is not None else held:
                yield path, not clear


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


def _literal(node: ast.expr) -> str | None:
    """Return a path that is spelled out: as a text, by ``Path``, ``join``, ``/`` or ``+``."""
    match node:
        case ast.Constant(value=str(text)):
            return text if "\n" not in text and 0 < len(text) < 256 else None
        case ast.BinOp(left=left, op=ast.Div() | ast.Add() as op, right=right):
            first, second = _literal(left), _literal(right)
            if first is None or second is None:
                return None
            return f"{first}/{second}" if isinstance(op, ast.Div) else first + second
        case ast.Call(func=function, args=args, keywords=[]):
            word = last_word(function)
            if word in ("cwd", "getcwd") and not args:
                return "."
            if word not in _PATHS and not (
                word == "join" and last_word(_owner(function)) == "path"
            ):
                return None
            parts = [_literal(argument) for argument in args]
            known = [part for part in parts if part is not None]
            return "/".join(known) if known and len(known) == len(parts) else None
    return None


def _joined(node: ast.AST) -> list[ast.expr]:
    """Return the parts of a path that is not spelled out in full."""
    match node:
        case ast.BinOp(left=left, right=right):
            return [left, right]
        case ast.Call(func=function, args=args):
            word = last_word(function)
            return args if word in _PATHS or word.startswith("join") else []
        case ast.JoinedStr(values=values):
            return [one.value for one in values if isinstance(one, ast.FormattedValue)]
    return []


def _is_plain(node: ast.expr) -> bool:
    """Whether an argument is a value that is written out: no folder can be in it."""
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)


def _writes(call: ast.Call) -> bool:
    """Whether a call opens a file to write it."""
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    return last_word(call.func) == "open" and any(
        isinstance(mode, ast.Constant)
        and isinstance(mode.value, str)
        and set(mode.value) & {*"wax"}
        for mode in modes
    )


def _names(node: ast.expr) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _owner(function: ast.expr) -> ast.expr:
    return function.value if isinstance(function, ast.Attribute) else function
