"""What `%federator push` commits: the notebook's files, and nothing else."""

import subprocess
from pathlib import Path

import nbformat
import pytest
from fixtures.jupyter_run import Typist
from fixtures.small_notebook import cells, federate, write
from nbformat.v4 import new_output

from federator.errors import InputError
from federator.jupyter import commit
from federator.jupyter.subject import Kernel, Subject, found

CHANGED = "WIDTH = 16  # hidden units\nRATE = 0.01"


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    command = ["git", "-C", str(root), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path, monkeypatch) -> Path:
    """A repository with a remote, a commit, and something else staged; a cell has changed since."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    root = tmp_path / "repository"
    federate(root)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "hub.git")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "remote", "add", "origin", str(tmp_path / "hub.git"))
    (root / "other.txt").write_text("one\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "first")
    git(root, "push", "--quiet", "--set-upstream", "origin", "main")
    (root / "other.txt").write_text("two\n")
    git(root, "add", "other.txt")
    (root / "loose.txt").write_text("not added\n")
    content = cells(parameters=CHANGED, use="from helper import twice", predict=(
        "def predict(net, loader):\n    return twice(net), loader"))  # fmt: skip
    content[-1].outputs = [new_output("stream", text="patient 17")]
    content[-1].execution_count = 3
    write(root / "notebooks" / "tumour.ipynb", content)
    (root / "notebooks" / "helper.py").write_text("def twice(x):\n    return x\n")
    return root


def subject(root: Path, run: Typist | None = None) -> Subject:
    notebook = root / "notebooks" / "tumour.ipynb"
    return found(Kernel(root, notebook, (run or Typist()).run), None)


def test_the_notebook_and_what_it_needs_are_committed_and_pushed_and_nothing_else(root, capsys):
    commit.push(subject(root), "A wider network", yes=True)
    names = git(root, "show", "--name-only", "--format=%s", "HEAD").split()
    assert names == [*["A", "wider", "network"], "notebooks/helper.py", "notebooks/tumour.ipynb"]
    assert git(root, "rev-parse", "origin/main") == git(root, "rev-parse", "HEAD")
    assert git(root, "diff", "--cached", "--name-only") == "other.txt"
    assert git(root, "show", ":other.txt") == "two"
    assert "?? loose.txt" in git(root, "status", "--porcelain")
    said = capsys.readouterr().out
    assert "M\tnotebooks/tumour.ipynb" in said and "A\tnotebooks/helper.py" in said


def test_outputs_are_not_committed_and_stay_in_the_file(root):
    commit.push(subject(root), "A wider network", yes=True)
    committed = git(root, "show", "HEAD:notebooks/tumour.ipynb")
    assert "WIDTH = 16" in committed and "patient 17" not in committed
    assert all(cell.get("execution_count") is None for cell in nbformat.reads(committed, 4).cells)
    assert "patient 17" in (root / "notebooks" / "tumour.ipynb").read_text()
    with pytest.raises(InputError, match="has changed since the last commit"):
        commit.push(subject(root), "Again", yes=True)


def test_nothing_is_committed_without_a_yes(root, monkeypatch, capsys):
    before = git(root, "rev-parse", "HEAD")
    answers = iter(["A wider network", "n"])
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    with pytest.raises(InputError, match="not confirmed"):
        commit.push(subject(root), None, yes=False)
    assert "A\tnotebooks/helper.py" in capsys.readouterr().out
    assert git(root, "rev-parse", "HEAD") == before
    assert git(root, "diff", "--cached", "--name-only") == "other.txt"


def test_a_notebook_that_is_not_saved_is_not_committed(root):
    run = Typist()
    run("new = 1", "elsewhere")
    with pytest.raises(InputError, match="the notebook is not saved"):
        commit.push(subject(root, run), "A wider network", yes=True)


def test_a_hook_that_refuses_is_told_and_nothing_has_changed(root):
    hook = root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho too wide\nexit 1\n")
    hook.chmod(0o755)
    before = git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD")
    with pytest.raises(commit.GitError, match="too wide"):
        commit.push(subject(root), "A wider network", yes=True)
    assert (git(root, "status", "--porcelain"), git(root, "rev-parse", "HEAD")) == before


def test_a_branch_without_a_remote_is_committed_and_the_way_on_is_told(root, capsys):
    git(root, "branch", "--unset-upstream")
    commit.push(subject(root), "A wider network", yes=True)
    assert "git push --set-upstream origin main" in capsys.readouterr().out
    git(root, "checkout", "--quiet", "--detach")
    with pytest.raises(InputError, match="no branch is checked out"):
        commit.push(subject(root), "More", yes=True)


def test_a_remote_that_cannot_be_reached_is_told(root):
    git(root, "remote", "set-url", "origin", str(root / "nowhere.git"))
    with pytest.raises(commit.GitError, match=r"(?s)git push failed.*The commit is made"):
        commit.push(subject(root), "A wider network", yes=True)
    assert git(root, "log", "-1", "--format=%s") == "A wider network"
