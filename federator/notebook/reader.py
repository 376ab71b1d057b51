"""A notebook: its code cells, their tags, and their text as plain Python.

The reader ignores outputs, execution counts and cell ids. An author can therefore run the
notebook again, and the app that is written from it stays the same.
"""

import ast
import json
import re
import warnings as python_warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from federator.errors import NotebookError, Problem, Where
from federator.notebook import data_layout
from federator.notebook.data_layout import Layout
from federator.notebook.magics import INSTALLS, Plain, to_plain

if TYPE_CHECKING:
    from nbformat import NotebookNode

# The metadata in which an editor or kernel writes a cell's language: VS Code, Polyglot Notebooks
# (under its present and its former name), SoS, kernels that write `language`, Deepnote.
_MARKS = (
    ("vscode", "languageId"),
    ("polyglot_notebook", "kernelName"),
    ("dotnet_interactive", "language"),
    ("kernel",),
    ("language",),
    ("deepnote_cell_type",),
)
_OURS = re.compile(r"%(?:(?:re)?load_ext\s+)?federator\b")  # that it stays behind is no news
_PYTHON = ("python", "ipython", "sos", "code", "pylab", "visualization", "xpython")


@dataclass(frozen=True)
class Cell:
    """A code cell.

    Attributes:
        number: its place among all cells of the notebook, Markdown included, from 1.
        source: its text as plain Python, with as many lines as the author's.
        tags: the cell's tags.
        foreign: line → IPython text that stood there and is no longer in ``source``.
        language: the cell magic or the language that makes this cell something else than
            Python. None for Python.
    """

    number: int
    source: str
    tags: frozenset[str] = frozenset()
    foreign: Mapping[int, str] = field(default_factory=dict, hash=False)
    language: str | None = None


@dataclass(frozen=True)
class Notebook:
    """The code cells of a notebook, in order, and what was left out of them.

    ``folder`` is the notebook's folder, if known. Its modules and small files are there.
    """

    name: str
    cells: tuple[Cell, ...]
    warnings: tuple[Problem, ...] = ()
    folder: Path | None = None
    layout: Layout | None = None


def read(path: Path) -> Notebook:
    """Read a notebook file.

    Raises:
        NotebookError: there is no such file, or it is not a Python notebook of format 4.
    """
    return from_node(load(path), path.name, path.parent)


def load(path: Path) -> Any:  # noqa: ANN401  # whatever the JSON is
    """Return the JSON of a notebook file.

    Raises:
        NotebookError: there is no such file, or it is not JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotebookError(f"there is no notebook {path}") from None
    except IsADirectoryError:
        found = sorted(one.name for one in path.glob("*.ipynb"))
        hint = f"Give the notebook in it: {', '.join(found)}." if found else "There is none in it."
        raise _refusal(str(path), "this is a folder, not a notebook", hint) from None
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _refusal(path.name, "this is not text in UTF-8, so it is no notebook") from None
    if not text.strip():
        raise _refusal(path.name, "the file is empty", "Save the notebook in Jupyter.")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        message = f"this is not a notebook: the file is not JSON ({error.msg})"
        hint = "Give the .ipynb file, as Jupyter saved it."
        if re.search(r"^<{7} ", text, re.MULTILINE):
            hint = "It holds the marks of an unresolved git merge (<<<<<<<): resolve it first."
        raise NotebookError(Problem(message, Where(path.name, line=error.lineno), hint)) from None
    except RecursionError:
        raise _refusal(path.name, "this is not a notebook: the JSON is nested too deeply") from None
    except ValueError:  # Python reads whole numbers of 4,300 digits at most
        raise _refusal(path.name, "this is not a notebook: it holds a number too long") from None


def from_node(
    node: "NotebookNode | Mapping[str, object]", name: str, folder: Path | None = None
) -> Notebook:
    """Take the cells out of a notebook that is already in memory; ``name`` is its file's.

    Raises:
        NotebookError: it is not a Python notebook of format 4, or has no code.
    """
    _check_format(node, name)
    numbered = node.get("cells")
    if not isinstance(numbered, list):
        raise _refusal(name, "this is not a notebook: it has no list of cells")
    cells, warnings, problems = [], [], []
    for number, content in enumerate(numbered, 1):
        where = Where(name, number)
        try:
            raw = _code(content)
        except ValueError as error:
            hint = "Open the notebook in Jupyter and save it again."
            problems.append(Problem(f"the cell is damaged: {error}", where, hint))
            continue
        if raw is None:
            continue
        source, tags = raw
        if data_layout.TAG in tags:
            warnings.append(data_layout.misplaced(where))
        other = _other_language(content)
        plain = Plain(source, {}, other) if other else to_plain(source)
        cells.append(Cell(number, plain.source, tags, plain.foreign, plain.language))
        if "local" not in tags:
            warnings += [
                _left_out(text, Where(name, number, line))
                for line, text in plain.foreign.items()
                if INSTALLS.match(text)
                or not (plain.source.split("\n")[line - 1] or _OURS.match(text))
            ]
    if problems:
        raise NotebookError(*problems)
    if not any(cell.source.strip() for cell in cells):
        raise _refusal(name, "the notebook has no code cells", "Start from template.ipynb.")
    told = data_layout.read(numbered, name)
    return Notebook(name, tuple(cells), tuple(warnings), folder, told)


def _refusal(name: str, message: str, hint: str | None = None) -> NotebookError:
    return NotebookError(Problem(message, Where(name), hint))


def _check_format(node: object, name: str) -> None:
    version = node.get("nbformat") if isinstance(node, Mapping) else None
    if not isinstance(node, Mapping) or not isinstance(version, int):
        raise _refusal(name, "this is JSON, but not a notebook: it has no nbformat")
    if version != 4:
        raise _refusal(
            name,
            f"the notebook has format {version}; only format 4 is read",
            f"Convert it: jupyter nbconvert --to notebook --inplace {name}"
            if version < 4
            else "Save it in format 4 in Jupyter (File, Save and Export Notebook As).",
        )
    metadata = node.get("metadata")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise _refusal(name, "this is not a notebook: its metadata are not a mapping")
    language = _language(metadata or {})
    if language.lower() not in ("python", "ipython", ""):
        raise _refusal(
            name,
            f"the notebook is written in {language}; only Python is converted",
            "If it is Python after all, choose a Python kernel in Jupyter and save it.",
        )


def _language(metadata: Mapping[str, object]) -> str:
    """Return the language that a notebook says it is in, or nothing if it does not say."""
    for section, key in (("kernelspec", "language"), ("language_info", "name")):
        described = metadata.get(section)
        if isinstance(described, Mapping) and isinstance(described.get(key), str):
            return str(described[key])
    return ""


def _code(cell: object) -> tuple[str, frozenset[str]] | None:
    """Return the text and tags of a code cell, None for any other cell.

    Raises:
        ValueError: the cell is not what nbformat 4 says; the text says how.
    """
    if not isinstance(cell, Mapping) or not isinstance(cell.get("cell_type"), str):
        raise ValueError("it has no cell_type")
    if cell["cell_type"] != "code":
        return None
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = _joined(source)
    if not isinstance(source, str):
        raise ValueError("its source is not text")
    metadata = cell.get("metadata", {})
    tags = metadata.get("tags", []) if isinstance(metadata, Mapping) else None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("its tags are not a list of names")
    # Python's own line ends only: splitlines() would also split at form feeds.
    return source.replace("\r\n", "\n").replace("\r", "\n"), frozenset(tags)


def _other_language(cell: Mapping[str, object]) -> str | None:
    """Return the language that a cell's metadata name. None for Python, or if they name none."""
    metadata = cell.get("metadata")
    for mark in _MARKS:
        found: object = metadata
        for key in mark:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, str) and found and not found.lower().startswith(_PYTHON):
            return found
    return None


def _joined(lines: list[str]) -> str:
    """Join the lines of a cell, which some tools write without their ends."""
    text = "".join(lines)
    if len(lines) > 1 and not any(line.endswith("\n") for line in lines):
        separate = "\n".join(lines)
        if _is_python(separate):
            return separate
    return text


def _is_python(source: str) -> bool:
    try:
        with python_warnings.catch_warnings(action="ignore"):
            ast.parse(to_plain(source).source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _left_out(text: str, where: Where) -> Problem:
    hint = None
    if INSTALLS.match(text):
        hint = "What the images install follows from the imports, not from this line."
    return Problem(f"`{text}` is not Python and is left out", where, hint)
