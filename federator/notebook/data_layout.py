"""The layout of a site's data, which the author describes in a Markdown cell tagged ``data``.

The text goes to the sites with the app, as ``data.md``. People read it; no program runs it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from federator.errors import NotebookError, Problem, Where

TAG = "data"
_MOST = 8192  # bytes, about four pages of text


@dataclass(frozen=True)
class Layout:
    """The description, and the numbers of the cells that it stands in."""

    text: str
    cells: tuple[int, ...]


def read(cells: Sequence[object], notebook: str) -> Layout | None:
    """Return what the Markdown and raw cells tagged ``data`` say; None if there are none.

    Args:
        cells: all cells of the notebook, as in its file.
        notebook: its name.

    Raises:
        NotebookError: if that is longer than 8 KiB.
    """
    found = list(_described(cells))
    if not found:
        return None
    text = "\n\n".join(said for _, said in found) + "\n"
    if (size := len(text.encode())) > _MOST:
        where = Where(notebook, found[-1][0])
        message = f"the description of the data has {size} bytes; {_MOST} may go to the sites"
        raise NotebookError(Problem(message, where, "describe the files, and what is in them"))
    return Layout(text, tuple(number for number, _ in found))


def misplaced(where: Where) -> Problem:
    """Return the warning that a cell of code is no description."""
    hint = "describe the layout of the data in a Markdown cell, and tag that"
    return Problem(f"the cell is code, so its tag `{TAG}` means nothing", where, hint)


def _described(cells: Sequence[object]) -> Iterator[tuple[int, str]]:
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, Mapping) or cell.get("cell_type") not in ("markdown", "raw"):
            continue
        metadata, source = cell.get("metadata"), cell.get("source")
        tags = metadata.get("tags") if isinstance(metadata, Mapping) else None
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(tags, list) or TAG not in tags or not isinstance(source, str):
            continue
        lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if text := "\n".join(line.rstrip() for line in lines).strip("\n"):
            yield number, text
