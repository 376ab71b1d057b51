"""A repository of one's own: what is in it, and that it is made whole or not at all."""

import json
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import nbformat
import pytest
import torch
from fixtures.command_line import call
from fixtures.paths import ROOT
from fixtures.repository_files import PLACES, files

from federator import __version__
from federator.federation import schema
from federator.notebook import contract, reader
from federator.repository import init
from federator.repository.answers import Answers
from federator.repository.init import RECORD
from federator.repository.notebook import notebook, sites_script
from federator.runtime.protocol.evaluation.tasks import NAMES


@pytest.fixture
def repository(tmp_path):
    assert call("init", tmp_path / "tumours", "--yes").exit_code == 0
    return tmp_path / "tumours"


def test_a_new_repository_has_what_this_project_has(repository):
    made = files(repository)
    for place in PLACES:
        assert made[place] == (ROOT / place).read_bytes()
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


def test_the_template_of_this_project_is_that_of_a_classification():
    made = notebook(Answers("my-study", sites=("my-site",)))
    assert (ROOT / "notebooks" / "template.ipynb").read_bytes() == made


@pytest.mark.parametrize("task", NAMES)
def test_each_task_has_a_notebook_that_can_be_federated_as_it_stands(task):
    made = json.loads(notebook(Answers("tumours", task=task)))
    parts = contract.take_apart(reader.from_node(nbformat.from_dict(made), "tumours.ipynb"))
    assert not parts.warnings
    assert ("def predict" in str(made)) == (task != "other")


@pytest.mark.parametrize("task", ["classification", "segmentation", "regression"])
def test_batches_add_up_to_the_step_of_a_large_one(tmp_path, task):
    """The mean loss of four equal batches has the gradient of one that is as large as all."""
    answers = Answers("tumours", task=task, sites=("north",))
    (tmp_path / "notebooks").mkdir()
    script = tmp_path / "notebooks" / "tumours_sites.py"
    script.write_bytes(sites_script(answers))
    made = json.loads(notebook(answers))
    code = [
        "".join(cell["source"])
        for cell in made["cells"]
        if cell["cell_type"] == "code" and cell["metadata"].get("tags") != ["local"]
    ]
    data = tmp_path / "data" / "tumours" / "north"
    subprocess.run([sys.executable, script, data], check=True, cwd=tmp_path)

    def trained(batch_size, accumulated):
        names = {}
        for cell in code:
            exec(cell, names)
        names |= {"BATCH_SIZE": batch_size, "ACCUMULATED_BATCHES": accumulated}
        torch.manual_seed(0)
        net = names["Model"]()
        loader, *_ = names["load_data"](data)
        whole = len(loader.dataset) // 32 * 32
        loader.dataset.X, loader.dataset.Y = loader.dataset.X[:whole], loader.dataset.Y[:whole]
        names["train"](net, loader, loader, 1)
        return torch.nn.utils.parameters_to_vector(net.parameters()).detach()

    at_once = trained(32, 1)
    assert torch.allclose(trained(8, 4), at_once, atol=1e-4)
    assert not torch.allclose(trained(8, 1), at_once, atol=1e-4)


@pytest.mark.parametrize("task", ["classification", "multilabel", "segmentation"])
def test_the_notebook_has_as_many_classes_as_there_are_labels(task):
    made = notebook(Answers("x", task=task, labels=("p", "q", "r"))).decode()
    assert '"CLASSES = 3\\n"' in made


@pytest.mark.parametrize("task", ["classification", "multilabel", "segmentation"])
def test_the_federation_file_of_a_task_names_its_labels(tmp_path, task):
    asked = ("init", tmp_path / "x", "--yes", "--labels", "p,q,r", "--task", task)
    assert call(*asked).exit_code == 0
    text = (tmp_path / "x" / "compose" / "x" / "federation.yaml").read_text()
    assert "labels: [p, q, r]" in text
    assert ("task:" in text) == (task != "classification")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--task", "segmentatio"), "there is no task segmentatio; the tasks are classification, "),
        (("--task", "survival", "--labels", "a,b"), "the task survival has no labels"),
    ],
)
def test_a_task_that_does_not_fit_is_told(tmp_path, flags, said):
    refused = call("init", tmp_path / "x", "--yes", *flags)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(said)
    assert not (tmp_path / "x").exists()


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
