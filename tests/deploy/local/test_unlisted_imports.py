"""What the sites of a rehearsal imported, against what an image would have."""

import json

import pytest
from fixtures.rehearsals import lay_out, lay_out_site
from fixtures.small_notebook import LOAD_DATA
from typer.testing import CliRunner

from federator.cli import app
from federator.deploy.local.unlisted_imports import doubtful, read
from federator.runtime.worker.sandbox.import_trace import Asked


def by_author(*modules):
    """Return modules as a worker lists them, if the author's code asked for each."""
    return {module: Asked("task", False) for module in modules}


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
    imported = "sheets.cells", "sheets", "task", "json", "numpy.linalg", "helpers", "flwr"
    (told,) = doubtful(by_author(*imported), ["numpy==2.4.6"])
    assert told.message == "the sites imported what no image would have: sheets==3.1.5"
    assert told.hint.endswith('requirements: {sheets: "sheets==3.1.5"}')


@pytest.mark.parametrize("client", [["sheets==3.1.5"], ["Sheets==3.0", "numpy==2.4.6"]])
def test_what_an_image_has_or_brings_along_is_not_told(packages, client):
    assert packages.is_dir()
    assert doubtful(by_author("sheets", "sheet_xml", "numpy"), client) == []


def test_what_torch_imports_at_will_is_not_told(packages):
    install(packages, "tqdm", "4.70.1", ["tqdm/__init__.py"])
    asked = {"tqdm": Asked("torch.hub", True), "tqdm.auto": Asked("tqdm", True)}
    assert doubtful(asked, ["torch==2.13.0"]) == []


@pytest.fixture
def frame(packages):
    """Install a library that reads sheets, as an extra."""
    extras = ["sheets; extra == 'excel'", "plots; extra == 'docs'"]
    install(packages, "frame", "3.0", ["frame/__init__.py"], extras)
    install(packages, "plots", "1.0", ["plots/__init__.py"])
    install(packages, "fast", "1.0", ["fast/__init__.py"])


@pytest.mark.parametrize(
    ("module", "asked", "told"),
    [
        ("sheets", Asked("frame.excel", False), True),  # while it works
        ("sheets", Asked("frame.excel", True), True),  # an extra, though it may not be used
        ("plots", Asked("frame.plotting", True), False),
        ("plots", Asked("frame.plotting", False), True),
        ("fast", Asked("frame.speed", True), False),  # it takes what it finds
        ("fast", Asked("sheets.cells", False), False),  # missing itself
        ("fast", Asked("fast.inner", False), False),
        ("fast", Asked("", False), True),
        ("fast", Asked("helpers", False), True),
    ],
)
@pytest.mark.usefixtures("frame")
def test_what_a_library_takes_where_it_is_installed_is_told_only_if_it_may_be_needed(
    module, asked, told
):
    found = doubtful({"frame": Asked("task", False), module: asked}, ["frame==3.0"])
    assert [f" {module}==" in one.message for one in found] == [True] * told


def test_the_line_to_write_names_the_package_not_a_part_of_it(packages):
    install(packages, "vision", "0.28", ["vision/__init__.py", "vision/parts.py"])
    (told,) = doubtful({"vision.parts": Asked("task", False)}, [])
    assert told.hint.endswith('requirements: {vision: "vision==0.28"}')


def test_the_lists_of_all_workers_count(tmp_path):
    (tmp_path / "north.imported").write_text(json.dumps(by_author("a", "b")))
    (tmp_path / "south.imported").write_text(json.dumps(by_author("b", "c")))
    assert read(tmp_path) == by_author("a", "b", "c")
    assert read(tmp_path / "absent") == {}


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
    (told,) = doubtful(by_author("sheets", "sheet_xml"), [])
    assert told.message.endswith("would have: sheets==3.1.5")
