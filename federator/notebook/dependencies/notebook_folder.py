"""A notebook's folder, as far as its app may take files from it.

Inside it, never outside; no hidden files, no notebooks, no links that lead away. What a cell
writes there itself (``%%writefile helpers.py``) counts as lying there: a notebook is taken as what
it does when it is run from top to bottom.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from federator.common import git
from federator.errors import Problem, Where
from federator.notebook.reader import Notebook
from federator.runtime.app_files import is_name

LARGEST = 256 * 1024
"""The most bytes that one file may have."""
ALTOGETHER = 1024 * 1024
"""The most bytes that all files may have together."""

_WRITES = re.compile(
    r"%%(?:writefile|file)\s+(?P<quote>[\"']?)(?P<name>[^-\s][^\"']*?)(?P=quote)\s*\n"
)


@dataclass(frozen=True)
class LocalFile:
    """A file that lies beside a notebook.

    Attributes:
        path: from the notebook's folder, with slashes.
        text: its text; every line ends in a newline alone, as git may have it otherwise.
        cell: the number of the cell that writes it, if one does.
    """

    path: str
    text: str
    cell: int | None = None

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.text.encode())


class Unfit(ValueError):
    """A file cannot travel; the text goes on after its name."""


@dataclass(frozen=True)
class NotebookFolder:
    """A notebook's folder, and what the notebook's cells write into it.

    Attributes:
        notebook: the notebook's file name.
        folder: where it lies; None for a notebook that is in memory only.
        written: text and cell number of what the cells write, by path.
    """

    notebook: str
    folder: Path | None
    written: Mapping[str, tuple[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, notebook: Notebook) -> "NotebookFolder":
        """Return the folder of a notebook."""
        return cls(notebook.name, notebook.folder, dict(_written(notebook)))

    def has(self, path: str) -> bool:
        """Say whether a path leads to a file in here, whatever is in it."""
        normal = _normal(path)
        return bool(normal) and (normal in self.written or self._inside(normal, Path.is_file))

    def has_folder(self, path: str) -> bool:
        """Say whether a path leads to a folder in here."""
        normal = _normal(path)
        written = any(name.startswith(f"{normal}/") for name in self.written)
        return bool(normal) and (written or self._inside(normal, Path.is_dir))

    def read(self, path: str) -> LocalFile:
        """Return a file that :meth:`has` has found.

        Raises:
            Unfit: if it is too large, not text, or ignored by git.
        """
        normal = _normal(path)
        if normal in self.written:
            text, cell = self.written[normal]
            return LocalFile(normal, _bounded(text.encode()).decode(), cell)
        if self.folder is None or not self._inside(normal, Path.is_file):
            raise Unfit("is not there")
        try:
            with (self.folder / normal).open("rb") as file:
                content = _bounded(file.read(LARGEST + 1))
        except OSError as error:
            raise Unfit(f"cannot be read: {error.strerror}") from None
        if git.ask(self.folder, "check-ignore", "--", normal):
            raise Unfit("is ignored by git, so the repository does not have it")
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise Unfit("is not text in UTF-8, so no site could read what it is")
        return LocalFile(normal, text.replace("\r\n", "\n").replace("\r", "\n"))

    def where(self, file: LocalFile, line: int | None) -> Where:
        """Return the place of a line of a file, or of the cell that writes it."""
        if file.cell is not None:
            return Where(self.notebook, file.cell, line and line + 1)
        return Where(file.path, line=line)

    def _inside(self, normal: str, kind: Callable[[Path], bool]) -> bool:
        """Whether a path leads to something of a kind that is in the folder, links resolved."""
        if self.folder is None:
            return False
        try:
            here = self.folder.resolve()
            path = (here / normal).resolve(strict=True)
        except (OSError, RuntimeError):
            return False
        return path.is_relative_to(here) and kind(path)


def _normal(path: str) -> str:
    """Return a path as it is from a notebook's folder, without dots; nothing if it leads away."""
    if "\\" in path or len(path) > 255 or path.startswith(("/", "~")):
        return ""
    normal = PurePosixPath(path).as_posix()
    return normal if is_name(normal) and not normal.endswith(".ipynb") else ""


def _bounded(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise Unfit(f"has more than {LARGEST:,} bytes, the most that a file of an app may have")
    return content


def require_small(files: Mapping[str, LocalFile]) -> Iterator[Problem]:
    """Yield what is wrong if files are too large together."""
    total = sum(file.size for file in files.values())
    if total > ALTOGETHER:
        largest = sorted(files.values(), key=lambda file: -file.size)[:3]
        listed = ", ".join(f"{file.path} ({file.size:,})" for file in largest)
        yield Problem(
            f"the files that travel with the app have {total:,} bytes together; at most "
            f"{ALTOGETHER:,} do",
            hint=f"the largest are {listed}; data belong into each site's data folder",
        )


def _written(notebook: Notebook) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield the files that cells write as they stand; the last of a name is what counts."""
    for cell in notebook.cells:
        if "local" not in cell.tags and (magic := _WRITES.match(cell.source.lstrip("\n") + "\n")):
            name = PurePosixPath(magic["name"]).as_posix()
            text = cell.source.lstrip("\n")[magic.end() :]
            yield name, (text.rstrip("\n") + "\n", cell.number)
