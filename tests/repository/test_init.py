"""A repository of one's own: what is in it, and that it is made whole or not at all."""

import json
import subprocess
from importlib import metadata
from types import SimpleNamespace

import pytest
from fixtures.command_line import call
from fixtures.paths import ROOT
from fixtures.repository_files import PLACES, files

from federator import __version__
from federator.federation import schema
from federator.repository import init
from federator.repository.init import RECORD


@pytest.fixture
def repository(tmp_path):
    assert call("init", tmp_path / "tumours", "--yes").exit_code == 0
    return tmp_path / "tumours"


def test_a_new_repository_has_what_this_project_has(repository):
    made = files(repository)
    for place in PLACES:
        name = place.replace("template", "tumours")
        assert made[name] == (ROOT / place).read_bytes()
    assert f"notebook-federator[author]=={__version__}\n" in made["requirements.txt"].decode()
    read = schema.read(repository / "compose" / "tumours")
    assert read.notebook == repository / "notebooks" / "tumours.ipynb"
    git = subprocess.run(
        ["git", "status", "--short", "--branch"], cwd=repository, capture_output=True
    )
    assert git.stdout.startswith(b"## No commits yet on main")


def test_a_version_installed_from_git_is_pinned_to_its_commit(monkeypatch):
    record = {"url": "https://git.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}}
    installed = SimpleNamespace(read_text=lambda _: json.dumps(record))
    monkeypatch.setattr(metadata, "distribution", lambda _: installed)
    pinned = init.generated("tumours")["requirements.txt"].decode().splitlines()
    assert pinned[-1] == "notebook-federator[author] @ git+https://git.example/x.git@0a1b"


def test_the_notebook_has_as_many_classes_as_there_are_labels(tmp_path):
    assert call("init", tmp_path / "x", "--yes", "--labels", "p,q,r").exit_code == 0
    (notebook,) = (tmp_path / "x" / "notebooks").iterdir()
    template = (ROOT / "notebooks" / "template.ipynb").read_text()
    assert '"CLASSES = 3\\n"' in notebook.read_text()
    assert notebook.read_text() == template.replace("CLASSES = 2", "CLASSES = 3")


def test_keys_and_data_are_not_committed(repository):
    kept = ["compose/tumours/north.yaml", "compose/tumours/north.env.example"]
    kept += ["compose/tumours/public/ca.crt", "compose/tumours/sites/north.pub"]
    ignored = ["compose/tumours/keys/ca.crt", "site.key", ".env", "compose/tumours/north.env"]
    ignored += ["build/tumours/app/task.py", "results/tumours/1/x", "data/tumours/north/x.csv"]
    command = ["git", "check-ignore", *kept, *ignored]
    told = subprocess.run(command, cwd=repository, capture_output=True, text=True).stdout
    assert told.split() == ignored


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    result = call("init", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == f"{tmp_path} is not empty\n    give a new folder\n"
    assert call("init", tmp_path / "notes.txt").exit_code == 2
    assert files(tmp_path) == {"notes.txt": b"mine"}


def test_an_empty_clone_is_filled(tmp_path):
    subprocess.run(["git", "init", "--quiet", "--initial-branch=trunk", tmp_path], check=True)
    assert call("init", tmp_path).exit_code == 0
    assert (tmp_path / ".git" / "HEAD").read_text() == "ref: refs/heads/trunk\n"
    assert RECORD in files(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_a_repository_is_made_whole_or_not_at_all(tmp_path, monkeypatch, there):
    folder = tmp_path / "tumours"
    if there:
        folder.mkdir()
    assert call("init", folder, "--federation", "../x").exit_code == 2
    monkeypatch.setenv("PATH", "")
    result = call("init", folder)
    assert result.exit_code == 1
    assert result.stderr == "there is no git on this machine\n    install it\n"
    assert list(tmp_path.rglob("*")) == [folder] * there
