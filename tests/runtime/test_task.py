"""The author's code at a site: what it may return, and what is told when it fails."""

import textwrap
import time

import numpy as np
import pytest

from federator.runtime.instructions import Instruction
from federator.runtime.outcomes import Failure
from federator.runtime.task import Labels, Task, take

CONFIG = {"labels": "healthy,ill", "positive": "ill", "rounds": 1, "local-epochs": 1, "seed": 0}
BODY = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from federator.runtime.parameters import parameter

width = parameter("width", 3)
SIZES = {"trainset": 8, "valset": 4, "testset": 4}


def loader(n, classes=2):
    x = torch.linspace(-1, 1, n * 2).reshape(n, 2)
    return DataLoader(TensorDataset(x, torch.arange(n) % classes), batch_size=3)


def load_data(data_path):
    return loader(8), loader(4), loader(4), SIZES


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Linear(width, 2))

    def forward(self, x):
        return self.layers(x)


def train(net, trainloader, valloader, epochs):
    for parameter in net.parameters():
        parameter.data += torch.rand(()) * epochs


def test(net, testloader):
    return 0.25, 0.5
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes a task of the body above, with lines replaced or added."""
    monkeypatch.syspath_prepend(str(tmp_path / "app"))

    def made(added: str = "", config: dict | None = None, **replaced: str) -> Task:
        text = BODY
        for name, body in replaced.items():
            start = text.index(f"def {name}(")
            end = text.find("\n\n\n", start)
            text = text[:start] + textwrap.dedent(body) + (text[end:] if end > 0 else "")
        for folder in ("app", "data"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "data" / "file").touch()
        (tmp_path / "app" / "task.py").write_text(text + "\n\n" + textwrap.dedent(added))
        return Task(tmp_path / "app", {**CONFIG, **(config or {})}, tmp_path / "data", "north")

    return made


def order(kind: str = "train", **fields) -> Instruction:
    return Instruction(kind, 1, time.time() + 60, epochs=2, **fields)


def weights_of(task: Task):
    return take(task.model(0))


def test_training_returns_weights_sizes_and_counts(make):
    task = make()
    outcome, trained = task.follow(order(sets=("val",)), weights_of(task))
    assert outcome.examples == {"trainset": 8, "valset": 4, "testset": 4}
    assert sum(map(sum, outcome.evaluations["val"].counts)) == 4
    assert outcome.evaluations["val"].loss == 0.25
    assert {name: a.shape for name, a in trained.items()} == {
        name: a.shape for name, a in weights_of(task).items()
    }


def test_the_same_round_gives_the_same_bytes_and_another_round_others(make):
    task = make()
    first = weights_of(task)
    trained = [task.follow(order(), first)[1] for _ in range(2)]
    assert all(trained[0][k].tobytes() == trained[1][k].tobytes() for k in first)
    other = task.follow(Instruction("train", 2, time.time() + 60, epochs=2), first)[1]
    assert any(trained[0][k].tobytes() != other[k].tobytes() for k in first)


def test_the_data_is_loaded_once(make):
    task = make()
    for _ in range(3):
        task.follow(order(), weights_of(task))
    assert task.loads == 1


def test_a_run_may_set_a_parameter_and_what_follows_from_it(make):
    assert weights_of(make())["layers.0.weight"].shape == (3, 2)
    wide = make(config={"parameters.width": 7})
    assert weights_of(wide)["layers.0.weight"].shape == (7, 2)


def test_proximal_mu_and_the_global_weights_are_given_to_a_train_that_takes_them(make):
    task = make(
        train="""\
        def train(net, trainloader, valloader, epochs, proximal_mu=0.0, global_weights=None):
            assert proximal_mu == 0.5
            for own, sent in zip(net.parameters(), global_weights, strict=True):
                assert own is not sent and torch.equal(own, sent)
        """
    )
    task.follow(order(proximal_mu=0.5), weights_of(task))


def test_the_template_of_2022_loads_data_without_a_path(make):
    task = make(
        load_data="""\
        def load_data():
            open("file").close()  # relative to the data folder
            return loader(8), loader(4), loader(4), SIZES
        """
    )
    assert task.follow(order("join"), None)[0].examples["trainset"] == 8


def test_predict_and_further_numbers_are_the_authors(make):
    task = make(
        added="""\
        def predict(net, loader):
            return [0, 1, 0, 1], [0.1, 0.9, 0.8, 0.2]
        """,
        test="""\
        def test(net, testloader):
            return {"loss": 0.5, "dice": 0.7}
        """,
    )
    evaluation = task.follow(order("evaluate", sets=("test",)), weights_of(task))[0].evaluations
    assert evaluation["test"].counts == [[1, 1], [1, 1]]
    assert evaluation["test"].metrics == {"dice": 0.7}
    assert sum(map(sum, evaluation["test"].scores["counts"])) == 4


def test_scores_follow_the_positive_label(make):
    added = """\
    def predict(net, loader):
        return [0, 1, 0, 1], [0.9, 0.2, 0.7, 0.1]
    """
    task = make(added, config={"positive": "healthy"})
    evaluation = task.follow(order("evaluate", sets=("val",)), weights_of(task))[0].evaluations
    assert evaluation["val"].counts == [[2, 0], [0, 2]]


@pytest.mark.parametrize(
    ("part", "body", "reason"),
    [
        ("load_data", "def load_data(p):\n    return loader(8), loader(4), SIZES", "contract"),
        ("load_data", "def load_data(p):\n    return None", "contract"),
        ("load_data", "def load_data(p):\n    return 1, 2, 3, {'trainset': 8}", "contract"),
        (
            "load_data",
            "def load_data(p):\n    return loader(8), loader(4), 0, dict(SIZES, trainset=0)",
            "data-empty",
        ),
        (
            "load_data",
            "def load_data(p):\n    return loader(8), loader(4), 0, dict(SIZES, testset=0)",
            "data-empty",
        ),
        (
            "load_data",
            "def load_data(p):\n    return loader(8, 1), loader(4), loader(4), SIZES",
            "single-class",
        ),
        (
            "load_data",
            "def load_data(p):\n    return loader(8, 3), loader(4), loader(4), SIZES",
            "labels",
        ),
        ("load_data", "def load_data(p):\n    raise KeyError('Jane')", "exception"),
        ("test", "def test(net, testloader):\n    return None", "contract"),
        ("test", "def test(net, testloader):\n    return {'dice': 1.0}", "contract"),
        ("test", "def test(net, testloader):\n    return ()", "contract"),
        ("train", "def train(net, trainloader, valloader, epochs):\n    exit()", "exception"),
    ],
)
def test_what_goes_wrong_is_told_by_its_kind(make, part, body, reason):
    task = make(**{part: body})
    with pytest.raises(Failure) as caught:
        task.follow(order(sets=("val",)), weights_of(task))
    assert caught.value.reason == reason
    assert "Jane" not in caught.value.write()


def test_an_exception_is_told_by_its_type_and_the_authors_own_line(make):
    task = make(
        train="""\
        def train(net, trainloader, valloader, epochs):
            helper()

        def helper():
            torch.zeros(2) @ torch.zeros(3)
        """
    )
    with pytest.raises(Failure) as caught:
        task.follow(order(), weights_of(task))
    line = 1 + (task._folder / "task.py").read_text().splitlines().index(
        "    torch.zeros(2) @ torch.zeros(3)"
    )
    assert str(caught.value) == f"RuntimeError in task.py, line {line}"


def test_a_model_that_training_changed_is_built_anew(make):
    task = make(
        train="""\
        def train(net, trainloader, valloader, epochs):
            net.register_buffer("patients", torch.ones(1))
        """
    )
    first = weights_of(task)
    for _ in range(2):
        assert "patients" in task.follow(order(), first)[1]
    assert list(weights_of(task)) == list(first)


def test_a_part_that_is_not_there_is_told_and_does_not_end_the_worker(make):
    task = make(train="del load_data")
    with pytest.raises(Failure, match="AttributeError, outside the notebook's own lines"):
        task.follow(order("join"), None)


def test_weights_of_another_model_are_told(make):
    wide = weights_of(make(config={"parameters.width": 7}))
    with pytest.raises(Failure, match="not those of the notebook's Model"):
        make().follow(order(), wide)


def test_code_that_fails_on_import_is_told_by_its_line(make):
    with pytest.raises(Failure, match=r"ZeroDivisionError while loading task\.py, line \d+"):
        make(added="1 / 0\n")


def test_a_missing_and_an_empty_data_folder_are_told_apart(tmp_path):
    with pytest.raises(Failure, match="not there"):
        Task(tmp_path, CONFIG, tmp_path / "data", "north")
    (tmp_path / "data").mkdir()
    with pytest.raises(Failure, match="empty"):
        Task(tmp_path, CONFIG, tmp_path / "data", "north")


@pytest.mark.parametrize(
    ("config", "labels"),
    [
        (CONFIG, Labels(("healthy", "ill"), 1)),
        ({**CONFIG, "positive": "healthy"}, Labels(("healthy", "ill"), 0)),
        ({**CONFIG, "labels": "a,b,c", "positive": ""}, Labels(("a", "b", "c"), None)),
    ],
)
def test_labels_come_from_the_apps_configuration(config, labels):
    assert Labels.of(config) == labels


def test_more_than_two_labels_are_predicted_by_the_largest_score(make):
    task = make(
        added="""\
        def predict(net, loader):
            return np.array([0, 1, 2, 2]), np.eye(3)[[0, 1, 2, 0]]

        import numpy as np
        """,
        config={"labels": "a,b,c", "positive": ""},
    )
    evaluation = task.follow(order("evaluate", sets=("val",)), weights_of(task))[0].evaluations
    assert evaluation["val"].counts == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert evaluation["val"].scores is None
    assert np.isfinite(evaluation["val"].loss)
