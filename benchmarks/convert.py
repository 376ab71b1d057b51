"""How long a notebook's check and conversion take, for notebooks of 10 to 1,000 cells.

Every other cell is exploration that stays behind; the rest are helpers that the training needs, one
through the other. The baseline is what any converter has to do: nbconvert's own export of the same
notebook as a script (``jupyter nbconvert --to script``), each in a process of its own. The last
column is ``%federator check`` in a kernel that has loaded it already.

    python -m benchmarks convert
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell
from rich.console import Console
from rich.table import Table

from federator.app.check import check_notebook
from federator.jupyter import pages
from federator.jupyter.cells_run import CellsRun
from federator.jupyter.subject import Kernel, found

TEMPLATE = Path(__file__).parents[1] / "notebooks" / "breast_cancer.ipynb"
BIN = Path(sys.executable).parent


def grow(cells: int, folder: Path) -> Path:
    """Write the demo's notebook with so many cells, and return its path."""
    notebook = nbformat.read(TEMPLATE, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    more, before = [], "0.0"
    for number in range(max(0, cells - len(notebook.cells)) // 2):
        more.append(new_code_cell(f"def helper_{number}(x):\n    return x + {before}"))
        more.append(new_code_cell(f"print('looked at', {number})\nseen_{number} = {number}"))
        before = f"helper_{number}(x)"
    (train,) = [cell for cell in notebook.cells if "def train(" in cell.source]
    if more:
        train.source += f"\n\n\ntrain.used = helper_{number}"
    notebook.cells = more + notebook.cells
    path = folder / f"{cells}.ipynb"
    nbformat.write(notebook, path)
    return path


def median_of_three(act: Callable[[], object]) -> float:
    """Return the median time of three calls, in seconds."""
    taken = []
    for _ in range(3):
        began = time.monotonic()
        act()
        taken.append(time.monotonic() - began)
    return statistics.median(taken)


def seconds(*command: object) -> float:
    """Return the median time of three runs of a command."""

    def run() -> None:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)

    return median_of_three(run)


def in_kernel(path: Path) -> float:
    """Return the median time of three checks by the magic, as HTML."""
    kernel = Kernel(path.parent, path, CellsRun())

    def check() -> None:
        subject = found(kernel, None)
        pages.check(check_notebook(subject.notebook.source), subject)

    return median_of_three(check)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks convert", description=__doc__)
    parser.add_argument("--cells", type=int, nargs="*", default=[10, 50, 100, 200, 1000])
    options = parser.parse_args(arguments)
    table = Table(title="seconds, median of three")
    for title in ("cells", "federator check", "jupyter nbconvert", "ratio", "%federator check"):
        table.add_column(title, justify="right")
    ratios, magic = {}, {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for cells in options.cells:
            path = grow(cells, Path(folder))
            ours = seconds(BIN / "federator", "check", path)
            theirs = seconds(BIN / "jupyter", "nbconvert", "--to", "script", "--stdout", path)
            ratios[cells] = round(ours / theirs, 3)
            magic[cells] = round(in_kernel(path), 3)
            numbers = (ours, theirs, ratios[cells], magic[cells])
            table.add_row(str(cells), *(f"{number:.3f}" for number in numbers))
    Console().print(table)
    ratio = ratios[options.cells[-1]]
    print(json.dumps({"benchmark": "convert", "ratio": ratio, "by_cells": ratios, "magic": magic}))
