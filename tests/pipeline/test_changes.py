"""Which federations a push concerns: by real commits."""

import pytest
from fixtures.hosted import git
from fixtures.small_notebook import federate

from federator.pipeline.changes import affected


@pytest.fixture
def repository(tmp_path):
    """Two federations, committed."""
    for name in ("lungs", "tumours"):
        folder = federate(tmp_path).folder
        (folder / "sites").mkdir()
        (folder / "server.yaml").write_text("generated\n")
        text = (folder / "federation.yaml").read_text()
        if name == "lungs":
            folder.rename(folder.with_name("lungs"))
            (tmp_path / "notebooks" / "tumour.ipynb").rename(tmp_path / "notebooks/lung.ipynb")
            text = text.replace("tumour.ipynb", "lung.ipynb")
        (tmp_path / "compose" / name / "federation.yaml").write_text(text)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def commit(root):
    """Commit everything; return the commit."""
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--allow-empty", "--message=x")
    return git(root, "rev-parse", "HEAD")


def concerned(root, since):
    return [folder.name for folder in affected(root, since)]


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("notebooks/lung.ipynb", ["lungs"]),
        ("notebooks/other.ipynb", []),
        ("compose/tumours/federation.yaml", ["tumours"]),
        ("compose/tumours/sites/north.pub", ["tumours"]),
        ("compose/tumours/public/ca.crt", ["tumours"]),
        ("compose/tumours/server.yaml", []),
        ("compose/tumours/north.yaml", []),
        ("component_templates/task.py.j2", ["lungs", "tumours"]),
        ("requirements.txt", ["lungs", "tumours"]),
        ("README.md", []),
        ("notebooks/a\n'$(touch x)' \".ipynb", []),
    ],
)
def test_a_changed_file_concerns(repository, path, names):
    before = git(repository, "rev-parse", "HEAD")
    (repository / path).parent.mkdir(parents=True, exist_ok=True)
    with (repository / path).open("a") as file:
        file.write("\n")
    commit(repository)
    assert concerned(repository, before) == names


def test_a_push_may_be_of_several_commits(repository):
    before = git(repository, "rev-parse", "HEAD")
    for path in ("notebooks/lung.ipynb", "README.md"):
        (repository / path).write_text("\n")
        commit(repository)
    assert concerned(repository, before) == ["lungs"]


def test_initial_weights_are_part_of_a_federation(repository):
    (repository / "weights.safetensors").write_text("1")
    with (repository / "compose/lungs/federation.yaml").open("a") as file:
        file.write("initial_weights: ../../weights.safetensors\n")
    before = commit(repository)
    (repository / "weights.safetensors").write_text("2")
    commit(repository)
    assert concerned(repository, before) == ["lungs"]


@pytest.mark.parametrize("since", ["", "0" * 40, "1" * 40, "HEAD", "--output=x", "main; touch x"])
def test_without_a_commit_to_compare_with_all_are_concerned(repository, since):
    assert concerned(repository, since) == ["lungs", "tumours"]
    assert not (repository / "x").exists()


def test_after_a_push_that_rewrote_history_all_are_concerned(repository):
    (repository / "README.md").write_text("one")
    gone = commit(repository)
    git(repository, "reset", "--quiet", "--hard", "HEAD~1")
    (repository / "README.md").write_text("two")
    commit(repository)
    assert concerned(repository, gone) == ["lungs", "tumours"]


def test_a_notebook_that_is_gone_concerns_its_federation(repository):
    before = git(repository, "rev-parse", "HEAD")
    (repository / "notebooks/lung.ipynb").unlink()
    commit(repository)
    assert concerned(repository, before) == ["lungs"]


def test_what_was_wrong_before_does_not_concern_a_push_elsewhere(repository):
    (repository / "compose/lungs/federation.yaml").write_text("sites: []\n")
    before = commit(repository)
    with (repository / "compose/tumours/federation.yaml").open("a") as file:
        file.write("rounds: 7\n")
    commit(repository)
    assert concerned(repository, before) == ["tumours"]
