"""Modules and small files beside a notebook: from the notebook to the images and a site's file."""

import json
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from fakes.images import lay_out, write
from fixtures.small_notebook import IMPORTS, STRATEGY, TRAIN, cells
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from federator.app.convert import convert, converted
from federator.app.exporter import FederatorExporter
from federator.errors import InputError, NotebookError
from federator.federation.schema import Federation
from federator.images import image_spec
from federator.notebook import contract, preview, reader
from federator.runtime.flower import app_hash
from federator.runtime.review.changes import compare
from federator.runtime.review.site_file import SiteFile

FILES = {
    "helpers.py": "from skimage import io\nfrom nets import util\n\nright = util.X\n",
    "nets/__init__.py": "",
    "nets/util.py": 'X = "$$ ${HOME} $"\n',
    "nets/unused.py": "import pandas\n",
    "cfg/scaler.json": '\n  {"by": 2}',
    "vocab.txt": "  mass\n\tbenign $x $$y\u2028\n\n\n",
    "unread.txt": "x",
}
CODE = '\nfrom helpers import right\nWORDS, BY = open("vocab.txt").read(), open("cfg/scaler.json")'
MODULES = ["helpers.py", "nets/__init__.py", "nets/util.py"]
ASSETS = ["assets/cfg/scaler.json", "assets/vocab.txt"]


def content(**changed: str) -> list[NotebookNode]:
    train = TRAIN.replace("optimizer.step()", "optimizer.step(right(WORDS, BY))")
    return cells(**{"imports": IMPORTS + CODE, "train": train} | changed)


def repository(
    root: Path,
    files: dict[str, str] | None = None,
    made: list[NotebookNode] | None = None,
    settings: str = "",
) -> Federation:
    for name, text in (FILES if files is None else files).items():
        path = root / "notebooks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return lay_out(root, settings, content() if made is None else made)


def test_they_are_in_the_app_to_the_letter_and_listed(tmp_path: Path) -> None:
    federation = repository(tmp_path)
    components = converted(federation, tmp_path / "build")
    app = components.app
    there = sorted(str(path.relative_to(app)) for path in app.rglob("*") if path.is_file())
    generated = ["aggregation.py", "client_app.py", "pyproject.toml", "server_app.py", "task.py"]
    assert there == sorted([*generated, *MODULES, *ASSETS])
    for name in (*MODULES, *ASSETS):
        assert (app / name).read_bytes().decode() == FILES[name.removeprefix("assets/")]
    assert f"scikit-image=={version('scikit-image')}" in components.client_requirements
    assert not any("pandas" in line for line in components.client_requirements)
    assert components.server_requirements == ()
    read = reader.read(federation.notebook)
    shown = preview.render(contract.take_apart(read), read).splitlines()
    assert "module beside it: nets/util.py (19 bytes)" in shown
    assert "file beside it: cfg/scaler.json (12 bytes)" in shown


@pytest.mark.parametrize(
    "name", [name for name in FILES if name not in ("unread.txt", "nets/unused.py")]
)
def test_each_is_part_of_the_apps_hash(tmp_path: Path, name: str) -> None:
    federation = repository(tmp_path)
    before = app_hash(converted(federation, tmp_path / "build").app)
    (tmp_path / "notebooks" / name).write_text(FILES[name] + "\n# more\n")
    with pytest.raises(InputError, match="has changed since the images were built"):
        converted(federation, tmp_path / "build")
    assert app_hash(convert(federation, tmp_path / "build").app) != before


def test_another_file_beside_the_notebook_changes_nothing(tmp_path: Path) -> None:
    federation = repository(tmp_path)
    before = app_hash(converted(federation, tmp_path / "build").app)
    (tmp_path / "notebooks" / "unread.txt").write_text("other")
    (tmp_path / "notebooks" / "nets" / "unused.py").write_text("other")
    assert app_hash(convert(federation, tmp_path / "build").app) == before


def test_an_asset_that_is_not_the_apps_own_has_no_hash(tmp_path: Path) -> None:
    app = converted(repository(tmp_path), tmp_path / "build").app
    (app / "assets" / "vocab.txt").write_text("other")
    with pytest.raises(InputError, match=r"assets/vocab\.txt is not the file"):
        app_hash(app)


def test_flower_bundles_the_modules(tmp_path: Path) -> None:
    from flwr.cli.build import build_fab_from_disk

    app = converted(repository(tmp_path), tmp_path / "build").app
    (tmp_path / "app.fab").write_bytes(build_fab_from_disk(app))
    with zipfile.ZipFile(tmp_path / "app.fab") as bundle:
        assert {*MODULES, "assets/cfg/scaler.json"} <= {*bundle.namelist()}
        assert "assets/vocab.txt" not in bundle.namelist()


def test_a_site_sees_them_to_the_letter_and_what_changes(tmp_path: Path) -> None:
    federation = repository(tmp_path)
    write(federation)
    path = federation.folder / "north.yaml"
    shown = SiteFile.read(path)
    for name in (*MODULES, *ASSETS):
        assert shown.app[name] == FILES[name.removeprefix("assets/")]
    assert list(shown.problems) == []
    new = SiteFile.parse("new.yaml", path.read_bytes().replace(b"$$$$ $${HOME}", b"$$$$ $${TERM}"))
    assert [line for line in compare(shown, new) if line.lstrip().startswith(("+X", "-X"))] == [
        '  -X = "$$ ${HOME} $"',
        '  +X = "$$ ${TERM} $"',
    ]
    assert list(new.problems) == ["the code that it shows is not the app whose hash it names"]
    new = SiteFile.parse("new.yaml", path.read_bytes().replace(b"benign", b"malign"))
    (problem,) = new.problems
    assert "assets/vocab.txt is not the file that pyproject.toml lists" in problem
    assert any("nets/__init__.py, which is empty" in line for line in compare(None, shown))


@pytest.mark.parametrize("name", ["../x.py", "/x.py", ".x.py", "a/../../x.py", "task.py/x.py"])
def test_a_site_file_writes_nowhere_else(tmp_path: Path, name: str) -> None:
    write(repository(tmp_path))
    path = tmp_path / "compose" / "tumours" / "north.yaml"
    content = path.read_text().replace("  helpers.py:", f"  {name}:")
    try:
        problems = list(SiteFile.parse("north.yaml", content.encode()).problems)
    except InputError as error:
        problems = [str(error)]
    assert len(problems) == 1
    assert not (tmp_path / "x.py").exists()


def test_they_are_in_the_images(tmp_path: Path) -> None:
    federation = repository(tmp_path)
    components = converted(federation, tmp_path / "build")
    made = {one.name: one for one in image_spec.write(federation, components)}
    for name in ("client", "server"):
        assert {f"app/{file}" for file in (*MODULES, *ASSETS)} <= made[name].upper.keys()
    assert not any("helpers" in name for name in made["link"].upper)
    folder = components.folder / "images" / "client" / "app"
    for path in (folder, folder / "assets", folder / "assets" / "cfg", folder / "nets"):
        assert path.stat().st_mode & 0o777 == 0o755


def test_the_exporter_writes_them(tmp_path: Path) -> None:
    repository(tmp_path)
    path = str(tmp_path / "notebooks" / "tumour.ipynb")
    _, resources = FederatorExporter().from_filename(path)
    written = {Path(name).name: text.decode() for name, text in resources["outputs"].items()}
    assert written["util.py"] == FILES["nets/util.py"]
    assert written["vocab.txt"] == FILES["vocab.txt"]


def test_a_module_that_a_cell_writes(tmp_path: Path) -> None:
    source = "%%writefile helpers.py\ndef right(o, y):\n    return 1"
    made = [*content(), new_code_cell(source)]
    files = {name: text for name, text in FILES.items() if name != "helpers.py"}
    federation = repository(tmp_path, files, made)
    components = converted(federation, tmp_path / "build")
    assert (components.app / "helpers.py").read_text() == "def right(o, y):\n    return 1\n"
    assert not any("writefile" in str(warning) for warning in components.warnings)


def test_the_aggregation_has_modules_of_its_own(tmp_path: Path) -> None:
    files = {"louder.py": "import numpy\nfrom flwr.serverapp.strategy import FedAvg\n"}
    strategy = "from louder import FedAvg\n\nstrategy = FedAvg()"
    federation = repository(tmp_path, files, cells(strategy=strategy), "strategy: own\n")
    components = converted(federation, tmp_path / "build")
    assert components.server_requirements == (f"numpy=={version('numpy')}",)
    assert (components.app / "louder.py").exists()


@pytest.mark.parametrize(
    ("files", "changed", "message"),
    [
        ({}, {}, "there is no helpers.py beside the notebook"),
        ({"helpers.py": "def f(:\n"}, {}, "helpers.py: line 1: this is not valid Python"),
        ({"helpers.py": "import zzz\n"}, {}, "helpers.py: line 1: `import zzz` needs a package"),
        (
            {},
            {"imports": IMPORTS + "\nfrom test_it import right\nWORDS = BY = 1"},
            "test_it.py beside the notebook cannot be in a Flower App",
        ),
        (
            {},
            {"imports": IMPORTS + "\nfrom lib.it import right\nWORDS = BY = 1"},
            "lib/it.py beside the notebook cannot be in a Flower App",
        ),
        (
            {},
            {"strategy": STRATEGY.replace("0.1", 'float(open("vocab.txt").read())')},
            "cell 9, line 3: `vocab.txt` is read for the aggregation",
        ),
        (
            {f"m{n}.py": "#" * 262_000 for n in range(5)},
            {
                "imports": IMPORTS
                + "\nimport m0, m1, m2, m3, m4\nright = WORDS = BY = m0, m1, m2, m3, m4"
            },
            "have 1,310,000 bytes together",
        ),
    ],
)
def test_what_cannot_travel_is_told(
    tmp_path: Path, files: dict[str, str], changed: dict[str, str], message: str
) -> None:
    there = {"test_it.py": "right = 1\n", "lib/it.py": "right = 1\n", "vocab.txt": "1"}
    with pytest.raises(InputError) as caught:
        repository(tmp_path, there | files, content(**changed))
    assert message in str(caught.value)


def test_data_of_a_site_do_not_travel(tmp_path: Path) -> None:
    federation = repository(tmp_path)
    path = federation.folder / "federation.yaml"
    text = path.read_text().replace("{name: north}", "{name: north, data: ../../notebooks/cfg}")
    path.write_text(text)
    from federator.federation import schema as federations

    with pytest.raises(NotebookError, match=r"`cfg/scaler\.json` lies in the data folder of north"):
        convert(federations.read(path), tmp_path / "build")


def test_a_notebook_in_memory_has_nothing_beside_it() -> None:
    made = {"cells": json.loads(json.dumps(cells())), "metadata": {}, "nbformat": 4}
    parts = contract.take_apart(reader.from_node(made, "tumour.ipynb"))
    assert parts.local_files == type(parts.local_files)()
