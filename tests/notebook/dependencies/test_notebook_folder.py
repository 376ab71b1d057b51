"""What may be taken from beside a notebook."""

import subprocess
from pathlib import Path

import pytest

from federator.notebook.dependencies.notebook_folder import (
    ALTOGETHER,
    LARGEST,
    LocalFile,
    NotebookFolder,
    Unfit,
    require_small,
)
from federator.notebook.reader import Cell, Notebook


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notebooks"
    (made / "cfg").mkdir(parents=True)
    (made / "cfg" / "scaler.json").write_text("{}\n")
    (made / "vocab.txt").write_bytes(b"mass\r\nbenign\rclear")
    return made


def beside(folder: Path | None, *cells: str) -> NotebookFolder:
    made = [Cell(n, source, language="%%writefile") for n, source in enumerate(cells, 1)]
    return NotebookFolder.of(Notebook("tumour.ipynb", tuple(made), folder=folder))


def test_a_file_is_read_as_git_has_it(folder: Path) -> None:
    here = beside(folder)
    assert here.has("./cfg/scaler.json")
    assert here.read("./cfg/scaler.json") == LocalFile("cfg/scaler.json", "{}\n")
    assert here.read("vocab.txt").text == "mass\nbenign\nclear"
    assert here.read("vocab.txt").size == 17
    assert here.has_folder("cfg")
    assert not here.has_folder("vocab.txt")
    assert not here.has("cfg")


@pytest.mark.parametrize(
    "path",
    [
        "../secret.txt",
        "cfg/../../secret.txt",
        "/etc/hostname",
        "~/secret.txt",
        ".hidden.txt",
        "cfg/.hidden.txt",
        "__pycache__/x.txt",
        "other.ipynb",
        "away.txt",
        "away/secret.txt",
        "missing.txt",
        "cfg\\scaler.json",
        "",
        ".",
        "x" * 300,
        "a\0b",
    ],
)
def test_nothing_outside_and_nothing_hidden_is_there(folder: Path, path: str) -> None:
    (folder.parent / "secret.txt").touch()
    for name in (".hidden.txt", "cfg/.hidden.txt", "other.ipynb"):
        (folder / name).touch()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.txt").touch()
    (folder / "away.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "away").symlink_to(folder.parent)
    here = beside(folder)
    assert not here.has(path)
    with pytest.raises(Unfit):
        here.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * (LARGEST + 1), "more than 262,144 bytes"),
        (b"\xff\xfe\x00", "is not text in UTF-8"),
        (b"text\0more", "is not text in UTF-8"),
    ],
)
def test_only_short_texts_travel(folder: Path, content: bytes, message: str) -> None:
    (folder / "vocab.txt").write_bytes(content)
    with pytest.raises(Unfit, match=message):
        beside(folder).read("vocab.txt")
    (folder / "vocab.txt").write_bytes(b"x" * LARGEST)
    assert beside(folder).read("vocab.txt").size == LARGEST


def test_what_git_ignores_does_not_travel(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet", folder.parent], check=True)
    assert beside(folder).read("vocab.txt")
    (folder.parent / ".gitignore").write_text("vocab.txt\n")
    with pytest.raises(Unfit, match="ignored by git"):
        beside(folder).read("vocab.txt")
    assert beside(folder).read("cfg/scaler.json")


def test_what_a_cell_writes_counts_as_lying_there(folder: Path) -> None:
    first = "%%writefile helpers.py\nA = 1\n"
    here = beside(folder, first, "%%file ./vocab.txt\nmass", '%%writefile "my cfg/x.json"\n{}\n\n')
    assert here.read("helpers.py") == LocalFile("helpers.py", "A = 1\n", 1)
    assert here.read("vocab.txt") == LocalFile("vocab.txt", "mass\n", 2)
    assert here.read("my cfg/x.json") == LocalFile("my cfg/x.json", "{}\n", 3)
    assert here.has_folder("my cfg")
    assert str(here.where(here.read("helpers.py"), 1)) == "tumour.ipynb: cell 1, line 2"
    assert str(here.where(here.read("cfg/scaler.json"), 1)) == "cfg/scaler.json: line 1"
    assert not beside(folder, "%%writefile -a helpers.py\nA = 1").has("helpers.py")
    assert not beside(folder, "%%writefile ../helpers.py\nA = 1").has("../helpers.py")
    assert beside(None, first).has("helpers.py")
    assert not beside(None, first).has("vocab.txt")


def test_together_they_are_bounded() -> None:
    files = {f"{n}.txt": LocalFile(f"{n}.txt", "x" * LARGEST) for n in range(5)}
    (problem,) = require_small(files)
    assert f"at most {ALTOGETHER:,} do" in problem.message
    del files["0.txt"]
    assert not list(require_small(files))
