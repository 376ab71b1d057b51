"""The small files beside a notebook that its code reads by name: ``open("vocab.txt")``.

A file travels with the app only if the code reads it by a whole, literal path. A file below
``load_data``'s folder is a site's data, and so is a file with the suffix of a table, image or
array: the author's copy of it must not leave the machine. In doubt a file does not travel, and a
warning names it.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

from federator.errors import Problem, Where
from federator.notebook.dependencies.literal_paths import (
    PATH_CLASSES,
    LiteralPaths,
    joined,
    literal_path,
    opens_to_write,
)
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

# Calls that read no file, by the start of their last word. Others may read one.
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
    reported: set[str] = set()
    reader = _Reader(sources)
    for read in reader.reads():
        path = PurePosixPath(read.path).as_posix()
        if path in found.files or path in reported:
            continue
        if not folder.has(path):
            if read.as_folder and folder.has_folder(path):
                reported.add(path)
                message = f"the folder `{path}` is read here and does not travel with the app"
                hint = "Read its text files one by one; or put it into each site's data folder."
                found.warnings.append(Problem(message, read.where, hint))
            continue
        if reason := _not_taken(path, read, read.in_load_data and reader.takes_no_folder):
            reported.add(path)
            message = f"`{path}` is read here and does not travel with the app: {reason[0]}"
            found.warnings.append(Problem(message, read.where, reason[1]))
            continue
        try:
            found.files[path] = folder.read(path)
            found.places[path] = read.where
        except Unfit as error:
            reported.add(path)
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
        self._literal_paths = LiteralPaths(source.tree for source in self._sources)

    @cached_property
    def _load_data(self) -> ast.FunctionDef | None:
        nodes = (node for source in self._sources for node in source.tree.body)
        named = (n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == "load_data")
        return next(named, None)

    @cached_property
    def takes_no_folder(self) -> bool:
        """Whether ``load_data`` takes no folder: what it reads by name is in the data folder."""
        return bool(self._load_data) and not self._load_data_takes

    @property
    def _load_data_takes(self) -> list[str]:
        return [one.arg for one in parameters(self._load_data)] if self._load_data else []

    @cached_property
    def _data_path(self) -> str | None:
        return next(iter(self._load_data_takes), None)

    def reads(self) -> Iterator[_Read]:
        """Yield what is read, in order."""
        for source in self._sources:
            for node in source.tree.body:
                parts = {id(part) for outer in ast.walk(node) for part in joined(outer)}
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
        whole = literal_path(call)
        if whole is not None:
            yield whole, False
            return
        if word in _PATH_READERS and isinstance(call.func, ast.Attribute):
            yield from ((path, False) for path in self._literal_paths.of(call.func.value))
        if word.startswith(_OTHER_CALLS) or word in PATH_CLASSES or opens_to_write(call):
            return
        every = [*call.args, *(keyword.value for keyword in call.keywords)]
        names = {n.id for one in every for n in ast.walk(one) if isinstance(n, ast.Name)}
        if self._data_path in names:
            return
        for argument in every:
            others = [one for one in every if one is not argument]
            first = argument in call.args[:1] or argument not in call.args
            clear = first and (word.startswith(_READERS) or all(map(_is_plain, others)))
            yield from ((path, not clear) for path in self._literal_paths.of(argument))


def _is_plain(node: ast.expr) -> bool:
    """Whether an argument is a value that is written out: no folder can be in it."""
    return isinstance(node, ast.Constant) and not isinstance(node.value, str)
