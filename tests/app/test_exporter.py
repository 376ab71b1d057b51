"""The exporter, in a program and behind jupyter nbconvert."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from fixtures import small_notebook
from fixtures.paths import ROOT
from nbconvert.exporters import get_exporter
from nbconvert.utils.exceptions import ConversionException
from nbformat.v4 import new_notebook, new_output

from federator.app.convert import convert
from federator.app.exporter import FederatorExporter

COMPONENTS = {"task.py", "aggregation.py", "client_app.py", "server_app.py"}


def test_it_writes_what_convert_writes(tmp_path: Path) -> None:
    federation = small_notebook.federate(tmp_path)
    app = convert(federation, tmp_path / "build").app
    exporter = FederatorExporter(federation=str(federation.folder))
    task, resources = exporter.from_filename(str(federation.notebook))
    files = {"task.py": task.encode(), **resources["outputs"]}
    assert files == {path.name: path.read_bytes() for path in app.iterdir()}


def test_without_a_federation_there_is_no_pyproject(tmp_path: Path) -> None:
    path = small_notebook.write(tmp_path / "tumour.ipynb")
    task, resources = FederatorExporter().from_filename(str(path))
    assert "class Model(nn.Module):" in task
    assert {"task.py", *resources["outputs"]} == COMPONENTS


def test_outputs_of_the_notebook_go_nowhere() -> None:
    content = small_notebook.cells()
    for cell in content[1:]:
        cell.outputs = [new_output("stream", text="MRN 123")]
    task, resources = FederatorExporter().from_notebook_node(new_notebook(cells=content))
    assert "MRN" not in task + str(resources)


def test_every_problem_is_in_the_exception(tmp_path: Path) -> None:
    content = small_notebook.cells(train=None, test=None)
    with pytest.raises(ConversionException, match="train") as caught:
        FederatorExporter().from_notebook_node(new_notebook(cells=content))
    assert "test" in str(caught.value)
    (tmp_path / "broken.ipynb").write_text("{")
    with pytest.raises(ConversionException, match=r"broken\.ipynb: .*not a notebook"):
        FederatorExporter().from_filename(str(tmp_path / "broken.ipynb"))


def test_nbconvert_knows_it_by_name() -> None:
    assert get_exporter("federator") is FederatorExporter


def nbconvert(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "nbconvert",
                "--to",
                "federator.app.exporter.FederatorExporter",
            ),
            *arguments,
        ],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "JUPYTER_PLATFORM_DIRS": "1",
        },
        capture_output=True,
        text=True,
    )


def test_jupyter_nbconvert_writes_a_folder_beside_the_notebook(tmp_path: Path) -> None:
    small_notebook.write(tmp_path / "tumour.ipynb")
    done = nbconvert(tmp_path, "tumour.ipynb")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "tumour_files").iterdir()} == COMPONENTS
    task, _ = FederatorExporter().from_filename(str(tmp_path / "tumour.ipynb"))
    assert (tmp_path / "tumour_files" / "task.py").read_text() == task


def test_jupyter_nbconvert_makes_a_complete_app_of_a_federation(tmp_path: Path) -> None:
    federation = small_notebook.federate(tmp_path)
    app = convert(federation, tmp_path / "build").app
    done = nbconvert(
        tmp_path,
        "notebooks/tumour.ipynb",
        "--FederatorExporter.federation=compose/tumours",
        "--output-dir=here",
        "--NbConvertApp.output_files_dir=app",
    )
    assert done.returncode == 0, done.stderr
    written = {path.name: path.read_bytes() for path in (tmp_path / "here" / "app").iterdir()}
    assert written == {path.name: path.read_bytes() for path in app.iterdir()}


def test_jupyter_nbconvert_prints_problems_without_a_traceback(tmp_path: Path) -> None:
    nbformat.write(new_notebook(cells=small_notebook.cells(train=None)), tmp_path / "tumour.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    for name, message in (("tumour.ipynb", "train"), ("broken.ipynb", "not a notebook")):
        done = nbconvert(tmp_path, name)
        assert done.returncode == 2
        assert f"{name}: " in done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert sorted(path.name for path in tmp_path.glob("*")) == ["broken.ipynb", "tumour.ipynb"]
