"""The preview of a conversion as plain text, for ``federator check``."""

import textwrap
from collections.abc import Iterator

from federator.notebook.checks import likely_task
from federator.notebook.contract import Parts
from federator.notebook.reader import Notebook


def render(parts: Parts, notebook: Notebook) -> str:
    """Return the preview of a conversion as plain text: a block per code cell, then a summary."""
    width = len(str(max(cell.number for cell in parts.cells)))
    lines = [f"{notebook.name}: {len(parts.cells)} code cells"]
    for cell in parts.cells:
        lines.append(f"cell {cell.number:>{width}}  {cell.words}")
        entries = [
            ("task", ", ".join(cell.task)),
            ("aggregation", ", ".join(cell.aggregation)),
            ("parameters", ", ".join(cell.parameters)),
            *(("stays behind", f"{what} ({why})") for what, why in _merged(cell.behind)),
        ]
        for heading, text in entries:
            if text:
                indent = " " * (width + 7)
                lines += textwrap.wrap(
                    f"{heading}: {text}", 100, initial_indent=indent, subsequent_indent=indent
                )
    return "\n".join([*lines, *summary(parts, notebook)])


def summary(parts: Parts, notebook: Notebook) -> list[str]:
    """Return lines on what no single cell shows: strategy, rounds, parameters, files."""
    lines = []
    if notebook.layout is not None:
        cells = ", ".join(map(str, notebook.layout.cells))
        lines.append(f"data.md, for the people at the sites: the text of cell {cells}")
    found = likely_task.likely(parts.task, 0, notebook.name)
    if found and found[0] != "classification":  # which is what a federation file says by itself
        name, sign = found
        lines.append(f"likely task: {name} (`{sign.name}`, cell {sign.where.cell})")
    rounds = "as the federation file says" if parts.rounds is None else str(parts.rounds)
    own = parts.own_strategy
    runs = f", code that runs at the server ({own.where})" if own else ""
    lines += [f"strategy: {parts.strategy}{runs}", f"rounds: {rounds}"]
    lines += [f"parameter: {name} = {value!r}" for name, value in parts.parameters.items()]
    for heading, files in (
        ("module", parts.local_files.modules),
        ("file", parts.local_files.assets),
    ):
        lines += [f"{heading} beside it: {file.path} ({file.size:,} bytes)" for file in files]
    return lines


def _merged(behind: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Yield what stays behind for the same reason together."""
    for reason in dict.fromkeys(why for _, why in behind):
        yield ", ".join(dict.fromkeys(what for what, why in behind if why == reason)), reason
