"""The notebook that a magic runs in: its saved file, with the cells as they were run since.

A front end gives a kernel neither its notebook nor its unsaved edits. It does give the text of each
cell that is run, with the cell's id: what was run after the file was saved replaces what is saved.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from federator.common import figures
from federator.errors import InputError, Problem
from federator.jupyter.cells_run import CellsRun
from federator.notebook import reader
from federator.notebook.reader import Notebook

_SERVER = "JPY_SESSION_NAME"  # Jupyter Server 2 and later
_VS_CODE = "__vsc_ipynb_file__"


@dataclass(frozen=True)
class OpenNotebook:
    """A notebook as it is checked.

    Attributes:
        path: its file.
        source: what is read of it.
        told: how it came to be known, for the reader.
        ids: the ids of its cells by their numbers, where it has ids.
        counts: the numbers that Jupyter shows beside cells, ``[n]``, by their numbers.
        unsaved: whether some cells were run in another version than is saved.
    """

    path: Path
    source: Notebook
    told: str
    ids: Mapping[int, str] = field(default_factory=dict)
    counts: Mapping[int, int] = field(default_factory=dict)
    unsaved: bool = False


def path_here(names: Mapping[str, Any]) -> Path | None:
    """Return the path of the notebook that this kernel serves; None if the front end tells none.

    Args:
        names: the names of the kernel's user, where VS Code puts the path.
    """
    told = names.get(_VS_CODE) or os.environ.get(_SERVER, "")
    path = Path(str(told))
    return path.resolve() if path.suffix == ".ipynb" else None


def opened(path: Path, run: CellsRun | None) -> OpenNotebook:
    """Read a notebook.

    Args:
        path: its file.
        run: the cells run since the kernel started, if it is the notebook of this kernel.

    Raises:
        NotebookError: if it is not a Python notebook.
        InputError: if the file of this kernel's notebook is not there.
    """
    if run is not None and not path.exists():
        message = f"the notebook is not at {path}, where it was when the kernel started"
        hint = "Restart the kernel if it was renamed or moved since, or name it: FILE.ipynb"
        raise InputError(Problem(message, hint=hint))
    saved, node = path.stat().st_mtime if path.exists() else 0.0, reader.load(path)
    listed = node.get("cells") if isinstance(node, dict) else None
    cells = {number: cell for number, cell in enumerate(listed or (), 1) if isinstance(cell, dict)}
    ids = {n: cell["id"] for n, cell in cells.items() if isinstance(cell.get("id"), str)}
    counts = {
        number: cell["execution_count"]
        for number, cell in cells.items()
        if isinstance(cell.get("execution_count"), int)
    }
    told = f"{path.name} as saved {_clock(saved)}"
    if run is None:
        return OpenNotebook(path, reader.from_node(node, path.name, path.parent), told, ids, counts)
    changed, missing = [], set(_unplaced(run, cells, saved))
    for number, cell in cells.items():
        known = run.known.get(ids.get(number, ""))
        if known is not None and cell.get("cell_type") == "code":
            counts[number] = known.count
            if known.at > saved and known.source != _text(cell):
                cell["source"] = known.source
                changed.append(known.count)
    if changed:
        told += f", and {', '.join(f'[{n}]' for n in changed)} as run since then"
    if missing:
        shown = ", ".join(f"[{count}]" for count in sorted(missing))
        told += f"; {shown}, run since then, is not in the file: save the notebook to have it here"
    source = reader.from_node(node, path.name, path.parent)
    return OpenNotebook(path, source, told, ids, counts, bool(changed or missing))


def _unplaced(run: CellsRun, cells: Mapping[int, Mapping[str, Any]], saved: float) -> Iterator[int]:
    """Yield the numbers of cells run after the file was saved that are not found in it."""
    ids, texts = {cell.get("id") for cell in cells.values()}, {_text(c) for c in cells.values()}
    for key, ran in run.known.items():
        if ran.at > saved and key not in ids and ran.source not in texts and not ran.only_magics:
            yield ran.count


def _text(cell: Mapping[str, Any]) -> str:
    source = cell.get("source", "")
    return "".join(map(str, source)) if isinstance(source, list) else str(source)


def _clock(seconds: float) -> str:
    return figures.clock(datetime.fromtimestamp(seconds), "at %H:%M:%S", "on %Y-%m-%d at %H:%M:%S")
