"""The author's code at a site: what it may return, and what is told when it fails."""

import textwrap
import time

import numpy as np
import pytest

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.state import take
from federator.runtime.worker.trainer import Trainer

CONFIG = {
    "labels": "healthy,ill",
    "positive": "ill",
    "rounds": 1,
    "local-epochs": 1,
    "seed": 0,
    "metrics": "dice",
}
BODY = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from federator.runtime.app_config import parameter

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

    def made(added: str = "", config: dict | None = None, **replaced: str) -> Trainer:
        text = BODY
        for name, body in replaced.items():
            start = text.index(f"def {name}(")
            end = text.find("\n\n\n", start)
            text = text[:start] + textwrap.dedent(body) + (text[end:] if end > 0 else "")
        for folder in ("app", "data"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "data" / "file").touch()
        (tmp_path / "app" / "task.py").write_text(text + "\n\n" + textwrap.dedent(added))
        return Trainer(tmp_path / "app", {**CONFIG, **(config or {})}, tmp_path / "data", "north")

    return made


def order(kind: str = "train", **fields) -> Instruction:
    return Instruction(kind, 1, time.time() + 60, epochs=2, **fields)


def weights_of(task: Trainer):
    return take(task.model(0))


def test_training_returns_weights_sizes_and_counts(make):
    task = make()
    outcome, trained = task.follow(order(sets=("val",)), weights_of(task))
    assert outcome.examples == {"trainset": 8, "valset": 4, "testset": 4}
    assert sum(map(sum, outcome.evaluations["val"].tables["confusion"])) == 4
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
    assert evaluation["test"].tables["confusion"] == [[1, 1], [1, 1]]
    assert evaluation["test"].metrics == {"dice": 0.7}
    assert sum(map(sum, evaluation["test"].tables["scores.1"])) == 4


def test_scores_follow_the_positive_label(make):
    added = """\
    def predict(net, loader):
        return [0, 1, 0, 1], [0.9, 0.2, 0.7, 0.1]
    """
    task = make(added, config={"positive": "healthy"})
    evaluation = task.follow(order("evaluate", sets=("val",)), weights_of(task))[0].evaluations
    assert evaluation["val"].tables["confusion"] == [[2, 0], [0, 2]]


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
            "def load_data(p):\n    return loader(8, 3), loader(4), loader(4), SIZES",
            "labels",
        ),
        ("load_data", "def load_data(p):\n    raise KeyError('Jane')", "exception"),
        ("test", "def test(net, testloader):\n    return None", "test"),
        ("test", "def test(net, testloader):\n    return {'dice': 1.0}", "test"),
        ("test", "def test(net, testloader):\n    return ()", "test"),
        ("test", "def test(net, testloader):\n    return float('nan'), 0.5", "loss"),
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


@pytest.mark.parametrize("predicts", [False, True])
def test_a_model_that_grows_in_its_first_batch_is_told_before_training(make, predicts):
    predict = "def predict(net, loader):\n    net(torch.ones(4, 2))\n"
    predict += "    return [0, 1] * 2, [0.1, 0.9] * 2\n"
    task = make(
        "class Model(nn.Linear):\n"
        "    def __init__(self):\n"
        "        super().__init__(2, 2)\n"
        "        self.register_buffer('seen', None)\n\n"
        "    def forward(self, x):\n"
        "        self.seen = torch.ones(len(x))\n"
        "        return super().forward(x)\n\n\n" + predict * predicts
    )
    with pytest.raises(Failure, match="other tensors after a batch than Model\\(\\) gave it"):
        task.follow(order("join"), None)
        first = weights_of(task)
        task.follow(order("evaluate", sets=("val",)), first)
        task.follow(order(), first)


def test_code_that_fails_on_import_is_told_by_its_line(make):
    with pytest.raises(Failure, match=r"ZeroDivisionError while loading task\.py, line \d+"):
        make(added="1 / 0\n")


def test_a_missing_and_an_empty_data_folder_are_told_apart(tmp_path):
    with pytest.raises(Failure, match="not there"):
        Trainer(tmp_path, CONFIG, tmp_path / "data", "north")
    (tmp_path / "data").mkdir()
    with pytest.raises(Failure, match="empty"):
        Trainer(tmp_path, CONFIG, tmp_path / "data", "north")


@pytest.mark.parametrize(
    ("config", "names", "positive"),
    [
        (CONFIG, ("healthy", "ill"), 1),
        ({**CONFIG, "positive": "healthy"}, ("healthy", "ill"), 0),
        ({**CONFIG, "labels": "a,b,c", "positive": ""}, ("a", "b", "c"), None),
    ],
)
def test_labels_come_from_the_apps_configuration(config, names, positive):
    found = EvaluationSettings.of(config)
    assert (found.names, found.positive, found.task.size) == (names, positive, len(names))


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
    assert evaluation["val"].tables["confusion"] == [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert evaluation["val"].tables["scores.2"][1][-1] == 1
    assert np.isfinite(evaluation["val"].loss)


def loads(loader: str) -> dict[str, str]:
    """Return a ``load_data`` whose three loaders are made by an expression in n, x and y."""
    return {
        "load_data": f"""\
        def load_data(data_path):
            def made(n):
                x, y = torch.linspace(-1, 1, n * 2).reshape(n, 2), torch.arange(n) % 2
                return {loader}
            return made(8), made(4), made(4), SIZES
        """
    }


BATCHED = "DataLoader(TensorDataset(x, {}), batch_size=3)"


@pytest.mark.parametrize(
    ("loader", "told"),
    [
        (
            BATCHED.format("torch.eye(2)[y]"),
            "the labels of the training set are float32 of shape (3, 2), several columns (one-hot",
        ),
        (
            BATCHED.format("(torch.rand(n, 3) > 0.5).float()"),
            "the labels of the training set are float32 of shape (3, 3), several columns",
        ),
        (
            BATCHED.format("torch.zeros(n, 8, 8, dtype=torch.int64)"),
            "the labels of the training set are int64 of shape (3, 8, 8), a mask for each",
        ),
        (
            BATCHED.format("torch.linspace(50, 70.5, n)"),
            "the labels of the training set are float32 of shape (3,), real numbers, as of a",
        ),
        (BATCHED.format("torch.arange(n) + 60"), "the training set has labels outside 0..1"),
        (BATCHED.format("y, y"), "a batch of the training set is a list of 3, not a pair"),
        ("[(x, y)] if n == 8 else [(x, y, y)]", "a batch of the validation set is a tuple of 3"),
        (
            "DataLoader([{'x': a, 'y': b} for a, b in zip(x, y)])",
            "a batch of the training set is a dictionary, not a pair (inputs, labels): write "
            "`def predict(net, loader): ... return labels, scores`",
        ),
        (
            "DataLoader([((a, a), b) for a, b in zip(x, y)])",
            "the inputs in a batch of the validation set are a list of 2, not a tensor: write",
        ),
        ("iter([(x, y)])", "the loader of the training set can be read only once"),
        (
            "DataLoader(TensorDataset(x, y), batch_size=16, drop_last=True)",
            "the loader of the training set gives no batch: 8 examples, and drop_last with batches",
        ),
    ],
)
def test_what_is_no_classification_is_refused_when_the_site_joins(make, loader, told):
    with pytest.raises(Failure) as caught:
        make(**loads(loader)).follow(order("join"), None)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (
            "class Model(nn.Linear):\n    def __init__(self): super().__init__(2, 3)",
            "the model's output has 3 column(s), the federation file names 2 labels: set CLASSES",
        ),
        (
            "class Model(nn.Linear):\n    def __init__(self): super().__init__(2, 2)\n"
            "    def forward(self, x): return {'logits': x}",
            "the model returns a dictionary, not a tensor: write `def predict(net, loader)",
        ),
        (
            "class Model(nn.Linear):\n    def __init__(self): super().__init__(2, 2)\n"
            "    def forward(self, x): return x[None]",
            "the model's outputs are float32 of shape (1, 2, 2), not (N, 2) for 2 labels",
        ),
        (
            "class Model(nn.Linear):\n    def __init__(self): super().__init__(7, 2)",
            "RuntimeError in Model, outside the notebook's own lines (within torch)",
        ),
        (
            "class Model(nn.Linear):\n    def __init__(self): super().__init__(2, 2)\n"
            "    def forward(self, x): raise KeyError('Jane')",
            "KeyError in task.py, line",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_refused_when_the_site_joins(make, added, told):
    with pytest.raises(Failure) as caught:
        make(added).follow(order("join"), None)
    assert str(caught.value).startswith(told)
    assert "predict" not in told or "write `def predict" in str(caught.value)


PREDICT = """\
def predict(net, loader):
    batches = [(b["x"], b["y"]) if isinstance(b, dict) else (b[0], b[-1]) for b in loader]
    labels = torch.cat([labels for _, labels in batches])
    return labels, torch.cat([net(x).softmax(1).detach() for x, _ in batches])
"""


@pytest.mark.parametrize(
    "loader",
    [
        "DataLoader([{'x': a, 'y': b} for a, b in zip(x, y)], batch_size=3)",
        "DataLoader([(a, 'MRN 1', b) for a, b in zip(x, y)], batch_size=3)",
        "DataLoader([(a, 4711, b) for a, b in zip(x, y)], batch_size=3)",
    ],
)
def test_where_predict_says_what_the_labels_are_batches_may_have_any_form(make, loader):
    task = make(PREDICT, **loads(loader))
    assert task.follow(order("join"), None)[0].warnings == ()
    outcome = task.follow(order("evaluate", sets=("val",)), weights_of(task))[0]
    assert [sum(row) for row in outcome.evaluations["val"].tables["confusion"]] == [2, 2]
    assert task.label_counts()["train"].counts is None


def test_a_look_ahead_changes_nothing_of_what_follows(make):
    looked, straight = make(), make()
    looked.follow(order("join"), None)
    first = weights_of(straight)
    assert all(np.array_equal(first[name], a) for name, a in weights_of(looked).items())
    (one, trained), (other, also) = (
        task.follow(order(sets=("val",)), first) for task in (looked, straight)
    )
    assert one == other
    assert all(np.array_equal(trained[name], also[name]) for name in trained)


def test_one_label_only_and_empty_sets_are_warnings(make):
    task = make(
        load_data="""\
        def load_data(data_path):
            return loader(8, 1), [], loader(4), dict(SIZES, valset=0)
        """
    )
    joined, _ = task.follow(order("join"), None)
    assert joined.examples == {"trainset": 8, "valset": 0, "testset": 4}
    assert set(joined.warnings) == {Notice("single-label", "train"), Notice("no-examples", "val")}
    outcome, trained = task.follow(order(sets=("val", "test")), weights_of(task))
    assert set(outcome.evaluations) == {"test"}
    assert trained is not None


@pytest.mark.parametrize(
    ("train", "warned"),
    [
        ("def train(net, trainloader, valloader, epochs):\n    pass", True),
        (
            "def train(net, trainloader, valloader, epochs):\n    import copy\n"
            "    net = copy.deepcopy(net)\n    net.layers[0].weight.data += 1",
            True,
        ),
        (
            "def train(net, trainloader, valloader, epochs):\n"
            "    net.layers[0].bias.data[0] += 1e-6",
            False,
        ),
    ],
)
def test_a_train_that_changed_nothing_is_warned_of(make, train, warned):
    task = make(train=train)
    outcome, _ = task.follow(order(), weights_of(task))
    assert (Notice("unchanged") in outcome.warnings) is warned


STEP = "for p in net.parameters():\n        p.data += 1"
AVERAGE = "torch.optim.swa_utils.AveragedModel(net)"


@pytest.mark.parametrize(
    ("train", "warned"),
    [
        (f"average = {AVERAGE}\n    {STEP}\n    return average", True),
        (f"best = copy.deepcopy(net.state_dict())\n    {STEP}\n    return [0.1], best", True),
        (f"best = copy.deepcopy(net)\n    {STEP}\n    return best, [0.1]", True),
        (f"{STEP}\n    return net", False),
        (f"{STEP}\n    return copy.deepcopy(net), net.state_dict()", False),
        (f"{STEP}\n    return {AVERAGE}", False),
        (f"{STEP}\n    return nn.Linear(2, 2), dict(loss=[0.1])", False),
    ],
)
def test_a_model_that_train_returned_instead_is_warned_of(make, train, warned):
    body = f"def train(net, trainloader, valloader, epochs):\n    import copy\n    {train}"
    task = make(train=body)
    outcome, _ = task.follow(order(), weights_of(task))
    assert (Notice("returned") in outcome.warnings) is warned


def test_the_accuracy_that_test_returns_is_compared_with_that_of_the_counts(make):
    added = "def predict(net, loader):\n    return [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8]\n"
    task = make(added, test="def test(net, testloader):\n    return 0.25, torch.tensor(0.0)")
    outcome, _ = task.follow(order("evaluate", sets=("val",)), weights_of(task))
    missing = Notice("metric-missing", "val", "dice")
    assert outcome.warnings == (missing, Notice("accuracy", "val", "", 0.0, 1.0))
    task = make(added, test="def test(net, testloader):\n    return {'loss': 1, 'acc': 100}")
    outcome, _ = task.follow(order("evaluate", sets=("val",)), weights_of(task))
    assert outcome.warnings == (missing,)


def test_a_metric_that_is_not_finite_costs_nothing_but_itself(make):
    task = make(test="def test(net, testloader):\n    return dict(loss=1.0, dice=float('nan'))")
    outcome, trained = task.follow(order(sets=("val",)), weights_of(task))
    assert outcome.evaluations["val"].metrics == {}
    assert outcome.warnings == (Notice("metric-not-finite", "val", "dice"),)
    assert trained is not None


def test_weights_in_bfloat16_are_trained(make):
    task = make(
        "class Model(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layers = nn.Linear(2, 2).bfloat16()\n\n"
        "    def forward(self, x):\n"
        "        return self.layers(x.bfloat16())\n"
    )
    outcome, trained = task.follow(order(sets=("val",)), weights_of(task))
    assert {array.dtype.name for array in trained.values()} == {"float32"}
    assert outcome.evaluations["val"].examples == 4
    assert Notice("unchanged") not in outcome.warnings


def test_a_model_whose_outputs_turn_infinite_is_told_with_the_round(make):
    task = make()
    weights = {name: array * np.float32(1e38) for name, array in weights_of(task).items()}
    with pytest.raises(Failure) as caught:
        task.follow(order("evaluate", sets=("val",)), weights)
    assert str(caught.value) == (
        "the model's outputs are not finite numbers, for the validation set in round 1"
    )


def test_a_survey_is_told_at_joining_if_it_is_asked_for(make):
    trainer = make()
    assert trainer.follow(order("join"), None)[0].survey is None
    told = trainer.follow(order("join", survey=True), None)[0].survey
    assert told.tables["labels.train"] == [[4, 4]]
    assert told.shape == (2,) and told.partial == ()
    assert trainer.loads == 1


def test_local_steps_are_the_batches_of_an_epoch(make):
    counting = """\
    def train(net, trainloader, valloader, epochs):
        for _ in range(epochs):
            for _ in trainloader:
                for parameter in net.parameters():
                    parameter.data += 1
    """
    for config, batches in (({}, 3), ({"local-steps": 5}, 5), ({"local-steps": 1}, 1)):
        trainer = make(train=counting, config=config)
        weights = take(trainer.model(0))
        before = {name: array.copy() for name, array in weights.items()}
        order = Instruction("train", 1, 0.0, epochs=2)
        _, trained = trainer.follow(order, weights)
        moved = {float(np.round((trained[name] - before[name]).mean())) for name in before}
        assert moved == {2.0 * batches}
