"""The way back from a line of a generated file to the cell that it came from.

The map is beside the app, not in it: cell numbers change when a plot cell is inserted, and
the app must not.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from federator.errors import Where


@dataclass(frozen=True)
class Span:
    """Lines of a generated file that stand, line for line, in one cell.

    Attributes:
        first: the first line in the generated file, from 1.
        lines: how many lines there are.
        cell: the cell, counted from 1 over all cells of the notebook.
        line: the line inside the cell that ``first`` came from, from 1.
    """

    first: int
    lines: int
    cell: int
    line: int


@dataclass(frozen=True)
class SourceMap:
    """The place in the notebook of each line of the generated files."""

    notebook: str
    files: Mapping[str, tuple[Span, ...]]

    def locate(self, file: str, line: int) -> Where | None:
        """Return the place in the notebook, or None for a line that no cell contains.

        Args:
            file: a generated file, by name (``task.py``) or by any path that ends in it.
            line: the line in that file, from 1.
        """
        for span in self.files.get(Path(file).name, ()):
            if 0 <= line - span.first < span.lines:
                return Where(self.notebook, span.cell, span.line + line - span.first)
        return None

    def write(self, path: Path) -> None:
        """Write the map as JSON, a span a line."""
        files = ",\n".join(
            f"    {json.dumps(name)}: [\n"
            + ",\n".join(f"      {json.dumps(asdict(span))}" for span in spans)
            + "\n    ]"
            for name, spans in sorted(self.files.items())
        )
        text = f'{{\n  "notebook": {json.dumps(self.notebook)},\n  "files": {{\n{files}\n  }}\n}}\n'
        path.write_text(text, encoding="utf-8", newline="\n")


def placed(text: str, source_map: SourceMap | None, file: str, line: int) -> str:
    """Return a text with the place in the notebook of a line of a generated file, if known."""
    where = source_map.locate(file, line) if source_map and line else None
    return f"{text} ({where})" if where else text


def read(path: Path) -> SourceMap:
    """Read a map that :meth:`SourceMap.write` wrote.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is not a source map.
    """
    found = json.loads(path.read_text(encoding="utf-8"))
    try:
        return SourceMap(
            notebook=found["notebook"],
            files={
                name: tuple(Span(**span) for span in spans)
                for name, spans in found["files"].items()
            },
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is not a source map") from error
