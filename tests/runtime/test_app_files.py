"""The files of an app: their names, and whether its hash covers them."""

from pathlib import Path

import pytest

from federator.errors import InputError
from federator.runtime import app_files

PROJECT = '[tool.federator.assets]\n"cfg/a b.json" = "{}"\n"vocab.txt" = "{}"\n'
TEXTS = {"assets/cfg/a b.json": "{}\n", "assets/vocab.txt": "mass\r\n  benign\n\n"}


@pytest.fixture
def app(tmp_path: Path) -> Path:
    project = PROJECT.format(*map(app_files.digest, TEXTS.values()))
    app_files.write(tmp_path, TEXTS | {"pyproject.toml": project, "nets/__init__.py": ""})
    return tmp_path


@pytest.mark.parametrize(
    "name", ["task.py", "nets/__init__.py", "assets/a b (2).json", "assets/Größe.txt", "a/b/c/d.py"]
)
def test_names_of_files(name: str) -> None:
    assert app_files.is_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "/x.py", "../x.py", "a/../x.py", "./x.py", "a//x.py", ".x.py", "a/.x.py", "-x.py"),
        *("a/", "a\\x.py", "a\nx.py", "a:x.py", "x.py.", "x.py ", "__pycache__/x.py", "a\0"),
        *("$(id).txt", "~/x", "/".join("abcdefgh"), "\u202ex.py"),
    ],
)
def test_what_is_no_name_of_a_file(tmp_path: Path, name: str) -> None:
    assert not app_files.is_name(name)
    with pytest.raises(InputError):
        app_files.write(tmp_path / "app", {name: ""})


def test_files_come_back_as_they_were_written(app: Path) -> None:
    (app / "__pycache__").mkdir()
    (app / "__pycache__" / "x.pyc").write_bytes(b"\xff")
    files = app_files.read(app)
    assert files.keys() == {*TEXTS, "pyproject.toml", "nets/__init__.py"}
    assert TEXTS.items() <= files.items()


def test_a_file_cannot_take_a_folders_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task\.py/x\.py cannot be a file of this app"):
        app_files.write(tmp_path, {"task.py": "", "task.py/x.py": ""})


def test_assets_are_those_that_are_listed(app: Path) -> None:
    app_files.require_listed(app)
    assert app_files.listed(app).keys() == {"cfg/a b.json", "vocab.txt"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("vocab.txt", "mass\n  benign\n\n", "assets/vocab.txt is not the file"),
        ("vocab.txt", None, "assets/vocab.txt is missing"),
        ("more.txt", "", "assets/more.txt is there, and pyproject.toml does not list it"),
    ],
)
def test_any_other_asset_is_noticed(app: Path, name: str, text: str | None, message: str) -> None:
    path = app / "assets" / name
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        app_files.require_listed(app)


def test_a_link_is_no_asset(app: Path) -> None:
    path = app / "assets" / "vocab.txt"
    path.rename(app / "vocab.txt")
    path.symlink_to(app / "vocab.txt")
    with pytest.raises(InputError, match="not the file"):
        app_files.require_listed(app)


def test_an_app_without_assets_lists_none(tmp_path: Path) -> None:
    assert app_files.listed(tmp_path) == {}
    app_files.require_listed(tmp_path)
    (tmp_path / "pyproject.toml").write_text("tool = 7")
    assert app_files.listed(tmp_path) == {}


def test_it_is_shown_without_what_a_terminal_would_act_on(tmp_path):
    assert app_files.layout(tmp_path) == ""
    (tmp_path / app_files.LAYOUT).write_text("# Data\n\n- \x1b[31m`train.csv`\n")
    assert app_files.layout(tmp_path).splitlines() == [
        "",
        "      the notebook describes the data as:",
        "      | # Data",
        "      |",
        "      | - ?[31m`train.csv`",
    ]
