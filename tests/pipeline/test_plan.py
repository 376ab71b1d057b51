"""What a push is to build: which federations, by real commits; all checked before any is built."""

import pytest
from fixtures.hosted import git
from fixtures.small_notebook import cells, federate

from federator.errors import InputError
from federator.pipeline import plan

IMAGES = "images: docker.io/acme\n"


def test_what_is_to_be_built_is_converted(tmp_path):
    federate(tmp_path, IMAGES)
    made = plan.make(tmp_path, "")
    assert (made.build, made.local_only, made.unconcerned) == (("tumours",), (), ())
    assert (tmp_path / "build/tumours/app/task.py").exists()
    assert "matplotlib inline" in made.warnings[0].message


def test_a_federation_without_a_registry_is_checked_alone(tmp_path):
    federate(tmp_path)
    made = plan.make(tmp_path, "")
    assert (made.build, made.local_only) == ((), ("tumours",))


def test_all_mistakes_are_told_at_once_each_with_its_place(tmp_path):
    federate(tmp_path, IMAGES, cells(train="def train(net):\n    return nett"))
    other = tmp_path / "compose" / "lungs"
    other.mkdir()
    (other / "federation.yaml").write_text("notebook: ../../notebooks/tumour.ipynb\nsits: []\n")
    with pytest.raises(InputError) as raised:
        plan.make(tmp_path, "")
    told = [str(problem.where) for problem in raised.value.problems]
    assert "compose/lungs/federation.yaml: line 2" in told
    assert any(where.startswith("tumour.ipynb: cell 7") for where in told)


@pytest.mark.parametrize("name", ["$(touch x)", "a b", "Tumours", "x'; touch x; '", "a\nb"])
def test_a_folder_of_a_hostile_name_is_refused(tmp_path, name):
    made = federate(tmp_path, IMAGES)
    made.folder.rename(made.folder.with_name(name))
    with pytest.raises(InputError, match="the name of its folder must be"):
        plan.make(tmp_path, "")


def test_an_empty_repository_has_nothing_to_build(tmp_path):
    assert plan.make(tmp_path, "") == plan.Plan((), (), (), ())


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
    return [folder.name for folder in plan.affected(root, since)]


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
        ("component_templates/app/task.py.j2", ["lungs", "tumours"]),
        ("requirements.txt", ["lungs", "tumours"]),
        ("requirements.lock", ["lungs", "tumours"]),
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
