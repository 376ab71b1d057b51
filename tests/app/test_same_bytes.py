"""What changes the bytes of an app, and what does not."""

import copy
import hashlib
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from fixtures import small_notebook
from fixtures.converted import app_bytes, components
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from federator.app.render import render_app
from federator.errors import Where
from federator.notebook import contract, reader

# What must not change the app, and what must.


def plot_inserted(content: list[NotebookNode]) -> None:
    content.insert(3, new_code_cell("plt.hist([1, 2])\nplt.show()"))


def text_inserted(content: list[NotebookNode]) -> None:
    content.insert(0, new_markdown_cell("# Why"))


def plot_changed(content: list[NotebookNode]) -> None:
    content[4].source = "!ls\nplt.plot([3])"


def plot_deleted(content: list[NotebookNode]) -> None:
    del content[4]


def run_in_jupyter(content: list[NotebookNode]) -> None:
    for number, cell in enumerate(content):
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [new_output("stream", text=f"loss {number}")]
        cell.id = f"again{number}"


def nothing(content: list[NotebookNode]) -> None:
    pass


@pytest.mark.parametrize(
    "change",
    [nothing, plot_inserted, text_inserted, plot_changed, plot_deleted, run_in_jupyter],
)
def test_what_does_not_change_the_model_does_not_change_a_byte(
    tmp_path: Path, change: Callable[[list[NotebookNode]], None]
) -> None:
    content = small_notebook.cells()
    before = app_bytes(tmp_path, copy.deepcopy(content))
    change(content)
    assert app_bytes(tmp_path, content) == before


@pytest.mark.parametrize(
    ("cell", "old", "new", "files"),
    [
        ("train", "SGD", "Adam", {"task.py"}),
        ("strategy", "0.1", "0.2", {"aggregation.py"}),
        ("strategy", ": 4", ": 5", {"aggregation.py", "pyproject.toml"}),
        ("parameters", "0.01", "0.02", {"task.py", "pyproject.toml"}),
    ],
)
def test_a_change_reaches_its_file_alone(
    tmp_path: Path, cell: str, old: str, new: str, files: set[str]
) -> None:
    changed = getattr(small_notebook, cell.upper()).replace(old, new)
    before = app_bytes(tmp_path, small_notebook.cells())
    after = app_bytes(tmp_path, small_notebook.cells(**{cell: changed}))
    assert {name for name in before if before[name] != after[name]} == files


def test_a_site_more_does_not_change_the_app(tmp_path: Path) -> None:
    content = small_notebook.cells()
    before = app_bytes(tmp_path, content)
    federation = small_notebook.federate(tmp_path, content=content)
    file = federation.folder / "federation.yaml"
    file.write_text(file.read_text().replace("{name: north}", "{name: north}, {name: east}"))
    assert app_bytes(tmp_path, content) == before


def test_inserted_cells_move_the_map_alone(tmp_path: Path) -> None:
    content = small_notebook.cells()
    line = 1 + components(tmp_path, content=content).app.joinpath("task.py").read_text().split(
        "\n"
    ).index("            optimizer.zero_grad()")
    text_inserted(content)
    moved = components(tmp_path, content=content).source_map
    assert moved.locate("task.py", line) == Where("tumour.ipynb", 8, 5)


def test_any_file_name_of_a_notebook_makes_valid_files(tmp_path: Path) -> None:
    federation = small_notebook.federate(tmp_path)
    parts = contract.take_apart(reader.read(federation.notebook))
    rendered = render_app('Tumör """2"""\\N.ipynb', parts, federation)
    assert "Tumör" in tomllib.loads(rendered.files["pyproject.toml"])["project"]["description"]
    for name in ("task.py", "aggregation.py", "client_app.py", "server_app.py"):
        compile(rendered.files[name], name, "exec")


# Flower's own view of the app.


def flwr_build(app: Path, into: Path) -> Path:
    into.mkdir()
    subprocess.run(
        [Path(sys.executable).with_name("flwr"), "build", "--app", app],
        cwd=into,
        env={"HOME": str(into), "PATH": "", "FLWR_TELEMETRY_ENABLED": "0"},
        check=True,
    )
    (fab,) = into.glob("*.fab")
    return fab


def test_flower_builds_the_same_bundle_twice(tmp_path: Path) -> None:
    first = flwr_build(components(tmp_path).app, tmp_path / "first")
    content = small_notebook.cells()
    plot_inserted(content)
    second = flwr_build(components(tmp_path, content=content).app, tmp_path / "second")
    assert {"client_app.py", "server_app.py", "task.py", "aggregation.py"} < set(
        zipfile.ZipFile(first).namelist()
    )
    assert first.name == second.name
    assert (
        hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    )
