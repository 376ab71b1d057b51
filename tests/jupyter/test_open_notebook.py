"""The notebook that a magic runs in: what is saved, and what was run since then."""

import os
import time
from pathlib import Path

import nbformat
import pytest
from fixtures.jupyter_run import Typist
from fixtures.small_notebook import cells, federate, write
from IPython.core.interactiveshell import InteractiveShell
from nbformat.v4 import new_code_cell

from federator.errors import InputError, NotebookError
from federator.jupyter.cells_run import CellsRun
from federator.jupyter.open_notebook import opened, path_here
from federator.jupyter.subject import Kernel, found


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, list]:
    """A notebook that was saved a minute ago, and its cells."""
    content = cells()
    content[3].execution_count = 7
    path = write(tmp_path / "tumour.ipynb", content)
    os.utime(path, (time.time() - 60,) * 2)
    return path, content


def sources(notebook) -> dict[int, str]:
    return {cell.number: cell.source for cell in notebook.source.cells}


def test_a_cell_that_was_run_since_it_was_saved_is_read_as_it_was_run(saved):
    path, content = saved
    run = Typist()
    run("WIDTH = 9", content[2].id)
    run("WIDTH = 10", content[2].id)
    run("WIDTH = 11", content[2].id, stored=False)  # what a tool asks, not the author
    notebook = opened(path, run.run)
    assert sources(notebook)[3] == "WIDTH = 10"
    assert notebook.counts == {3: 2, 4: 7} and notebook.unsaved
    assert notebook.ids[3] == content[2].id
    assert "[2] as run since then" in notebook.told
    assert notebook.told.startswith("tumour.ipynb as saved at ") or " on " in notebook.told


def test_what_was_saved_after_it_was_run_counts(saved):
    path, content = saved
    run = Typist()
    run("WIDTH = 9", content[2].id)
    os.utime(path, (time.time() + 60,) * 2)
    notebook = opened(path, run.run)
    assert "WIDTH = 8" in sources(notebook)[3] and not notebook.unsaved
    assert notebook.counts[3] == 1
    assert sources(opened(path, None)) == sources(notebook)


def test_a_cell_that_is_not_in_the_file_is_told(saved):
    path, content = saved
    run = Typist()
    run(content[5].source, "vscode-notebook-cell:1")  # VS Code's ids are none of the file's
    run("%federator check", None)
    assert not opened(path, run.run).unsaved
    run("new = 1", "vscode-notebook-cell:2")
    notebook = opened(path, run.run)
    assert notebook.unsaved and "[3], run since then, is not in the file: save" in notebook.told


def test_a_notebook_that_was_renamed_is_told(tmp_path):
    with pytest.raises(InputError, match="where it was when the kernel started"):
        opened(tmp_path / "gone.ipynb", Typist().run)
    with pytest.raises(NotebookError, match="there is no notebook"):
        opened(tmp_path / "gone.ipynb", None)


def test_the_path_comes_from_the_server_or_from_vs_code(tmp_path, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "a.ipynb"))
    assert path_here({}) == tmp_path / "a.ipynb"
    assert path_here({"__vsc_ipynb_file__": str(tmp_path / "b.ipynb")}) == tmp_path / "b.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", "console-1")
    assert path_here({}) is None
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert path_here({}) is None


def kernel(root: Path, notebook: Path | None) -> Kernel:
    return Kernel(root / "notebooks", notebook, Typist().run)


def test_the_federation_is_the_one_that_names_the_notebook(tmp_path):
    read = federate(tmp_path)
    other = tmp_path / "compose" / "other"
    other.mkdir()
    (other / "federation.yaml").write_text("notebook: [broken\n")
    subject = found(kernel(tmp_path, read.notebook), None)
    assert subject.federation.name == "tumours" and "which names this notebook" in subject.told
    named = found(kernel(tmp_path, None), "compose/tumours")
    assert named.notebook.path == read.notebook
    with pytest.raises(InputError, match="several federations: other, tumours"):
        found(kernel(tmp_path, None), None)
    with pytest.raises(InputError, match=r"(?s)no federation compose/tumour\b.*compose/tumours"):
        found(kernel(tmp_path, None), "compose/tumour")


def test_the_only_federation_is_meant_where_the_notebook_is_not_known(tmp_path):
    read = federate(tmp_path)
    assert found(kernel(tmp_path, None), None).federation.name == "tumours"
    lonely = write(tmp_path / "notebooks" / "lonely.ipynb")
    subject = found(kernel(tmp_path, lonely), None)
    assert subject.federation is None
    with pytest.raises(InputError, match=r"no federation names lonely.ipynb \(there are tumours\)"):
        subject.required()
    again = read.folder.parent / "again"
    again.mkdir()
    (again / "federation.yaml").write_text((read.folder / "federation.yaml").read_text())
    with pytest.raises(InputError, match="several federations"):
        found(kernel(tmp_path, read.notebook), None)


def test_a_notebook_without_ids_has_no_links(tmp_path):
    node = nbformat.v4.new_notebook(cells=[new_code_cell("x = 1")])
    node.nbformat_minor = 4
    del node.cells[0]["id"]
    path = tmp_path / "old.ipynb"
    nbformat.write(node, path)
    assert opened(path, None).ids == {}


def test_the_number_is_the_one_that_jupyter_shows():
    """IPython counts up before some of its events, and after others."""
    shell, run = InteractiveShell(), CellsRun()
    shell.events.register("post_run_cell", run.note)
    result = shell.run_cell("x = 1", store_history=True, cell_id="a")
    assert run.known["a"].count == result.execution_count == 1
