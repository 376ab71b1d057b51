"""What the sites of a rehearsal imported, against what an image would have."""

import json

import pytest
from fixtures.rehearsals import lay_out, lay_out_site
from fixtures.small_notebook import LOAD_DATA
from typer.testing import CliRunner

from federator.cli import app
from federator.deploy.local.unlisted_imports import doubtful, read


def install(folder, name, version, files, requires=()):
    """Lay out an installed distribution whose modules are these files."""
    record = folder / f"{name}-{version}.dist-info"
    record.mkdir()
    lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (record / "METADATA").write_text("\n".join(lines) + "\n")
    (record / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    for file in files:
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_text("VALUE = 1\n")


@pytest.fixture
def packages(tmp_path, monkeypatch):
    folder = tmp_path / "packages"
    folder.mkdir()
    install(folder, "sheets", "3.1.5", ["sheets/__init__.py"], ["sheet-xml"])
    install(folder, "sheet-xml", "2.0", ["sheet_xml/__init__.py"])
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_what_no_image_would_have_is_told_with_the_line_to_write(packages):
    assert packages.is_dir()
    imported = {"sheets.cells", "sheets", "task", "json", "numpy.linalg", "helpers", "flwr"}
    (told,) = doubtful(imported, ["numpy==2.4.6"])
    assert told.message == "the sites imported what no image would have: sheets==3.1.5"
    assert told.hint.endswith('requirements: {sheets: "sheets==3.1.5"}')


@pytest.mark.parametrize("client", [["sheets==3.1.5"], ["Sheets==3.0", "numpy==2.4.6"]])
def test_what_an_image_has_or_brings_along_is_not_told(packages, client):
    assert packages.is_dir()
    assert doubtful({"sheets", "sheet_xml", "numpy"}, client) == []


def test_what_torch_imports_at_will_is_not_told(packages):
    install(packages, "tqdm", "4.70.1", ["tqdm/__init__.py"])
    assert doubtful({"tqdm", "tqdm.auto"}, ["torch==2.13.0"]) == []


def test_the_lists_of_all_workers_count(tmp_path):
    (tmp_path / "north.imported").write_text(json.dumps(["a", "b"]))
    (tmp_path / "south.imported").write_text(json.dumps(["b", "c"]))
    assert read(tmp_path) == {"a", "b", "c"}
    assert read(tmp_path / "absent") == set()


def test_a_rehearsal_tells_what_a_library_imports_behind_the_notebooks_back(tmp_path):
    """Here iniconfig, which pytest brings, takes the part of a reader that pandas looks for."""
    hidden = '__import__("ini" + "config")\n    features ='
    federation = lay_out(
        tmp_path,
        {"north": lay_out_site(tmp_path / "north", 1)},
        "rounds: 1\n",
        load_data=LOAD_DATA.replace("features =", hidden, 1),
    )
    result = CliRunner().invoke(app, ["run", str(federation.folder)])
    assert result.exit_code == 0, result.stderr
    assert "the sites imported what no image would have: " in result.stderr
    assert 'iniconfig: "iniconfig==' in result.stderr


def test_what_another_of_them_brings_along_is_not_told_apart(packages):
    assert packages.is_dir()
    (told,) = doubtful({"sheets", "sheet_xml"}, [])
    assert told.message.endswith("would have: sheets==3.1.5")
