"""A site's training with tensors that stay there: what goes on, what begins anew, what is told."""

import shutil
import time

import numpy as np
import pytest

from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.encoding import (
    ENCODINGS,
    MASKED,
    model_form,
    read_model,
    update_form,
)
from federator.runtime.weights.format import describe, load
from federator.runtime.worker.trainer import Trainer

BODY = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from federator.runtime.app_config import parameter

width = parameter("width", 3)


def loader(n):
    x = torch.linspace(-1, 1, n * 2).reshape(n, 2)
    return DataLoader(TensorDataset(x, torch.arange(n) % 2), batch_size=4)


def load_data(data_path):
    return loader(8), loader(4), loader(4), {"trainset": 8, "valset": 4, "testset": 4}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.bn = nn.Linear(2, 70), nn.BatchNorm1d(70)
        self.head = nn.Sequential(nn.Linear(70, width), nn.Linear(width, 2))

    def forward(self, x):
        return self.head(self.bn(self.first(x)))


def train(net, trainloader, valloader, epochs):
    net(next(iter(trainloader))[0])
    for parameter in net.parameters():
        parameter.data += 1
    if GROWS:
        net.head.register_buffer("patients", torch.ones(3))


def test(net, testloader):
    return float(net.head[0].weight.detach().sum()), 0.5


GROWS = False
"""
CONFIG = {
    **{"labels": "healthy,ill", "positive": "ill", "rounds": 1, "local-epochs": 1, "seed": 0},
    **{"metrics": "", "select": "last", "local": "*bn.*,head.*"},
}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that starts the site's worker (again)."""
    monkeypatch.syspath_prepend(str(tmp_path / "app"))
    for folder in ("app", "data", "personal"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "file").touch()

    def made(site="north", body=BODY, **config):
        (tmp_path / "app" / "task.py").write_text(body)
        given = {**CONFIG, **config}
        return Trainer(tmp_path / "app", given, tmp_path / "data", site, tmp_path / "personal")

    return made


def order(number, kind="train", **fields):
    told = {"run": "2026-01-01-001", "epochs": 1, **fields}
    return Instruction(kind, number, time.time() + 60, **told)


def first():
    """Return the shared tensors as the server has them at first."""
    return {"first.weight": np.zeros((70, 2), np.float32), "first.bias": np.zeros(70, np.float32)}


def level(weights):
    return float(weights["first.bias"][0])


def told(outcome):
    return [notice.code for notice in outcome.warnings if notice.code.startswith("local-")]


def loss(outcome, part="val"):
    return outcome.evaluations[part].loss


def test_an_update_has_the_shared_tensors_only_and_the_others_go_on(make, tmp_path):
    task, weights, losses = make(), first(), []
    task.follow(order(0, "join"), None)
    for number in (1, 2, 3):
        outcome, weights = task.follow(order(number, sets=("val",)), weights)
        assert list(weights) == ["first.weight", "first.bias"]
        assert level(weights) == number and told(outcome) == []
        losses.append(loss(outcome))
    assert np.allclose(np.diff(losses), 210, atol=0.01), "each round adds 1 to 210 numbers"
    kept = load(tmp_path / "personal/2026-01-01-001/federation/round-003.safetensors")
    assert kept.keys() == {
        *(f"bn.{name}" for name in ("weight", "bias", "running_mean", "running_var")),
        *("bn.num_batches_tracked", "head.0.weight", "head.0.bias", "head.1.weight", "head.1.bias"),
    }
    assert kept["bn.num_batches_tracked"] == 3


def test_a_worker_that_starts_again_goes_on_where_it_was(make):
    weights = first()
    for number in (1, 2):
        outcome, weights = make().follow(order(number, sets=("val",)), weights)
    outcome, _ = make().follow(order(2, "evaluate", sets=("val",)), weights)
    steady, weights = make(site="south", select="best"), first()
    for number in (1, 2):
        weights = steady.follow(order(number, run="steady"), weights)[1]
    unbroken, _ = steady.follow(order(2, "evaluate", sets=("val",), run="steady"), weights)
    assert loss(outcome) == loss(unbroken)
    assert told(outcome) == []


def test_a_run_that_is_resumed_finds_those_of_the_round_it_resumes_from(make):
    task, weights, losses = make(), first(), {}
    for number in (1, 2, 3):
        outcome, weights = task.follow(order(number, sets=("val",)), weights)
        losses[number - 1] = loss(outcome)
    outcome, _ = make().follow(order(3, sets=("val",)), weights)  # the server has lost round 3
    assert loss(outcome) == losses[2] and told(outcome) == []
    for run, expected in (("2026-01-01-001", 0), ("2026-01-02-001", 0)):
        outcome, _ = make().follow(order(1, sets=("val",), run=run), first())
        assert loss(outcome) == losses[expected], "round 1 begins as Model() makes them"


def test_a_volume_that_was_removed_or_put_back_is_told(make, tmp_path):
    task, weights = make(), first()
    for number in (1, 2):
        weights = task.follow(order(number), weights)[1]
    run = tmp_path / "personal" / "2026-01-01-001"
    shutil.copytree(run, tmp_path / "copy")
    for number in (3, 4, 5):
        weights = task.follow(order(number), weights)[1]
    shutil.rmtree(run)
    outcome, _ = make().follow(order(5, "evaluate", sets=("val",)), weights)
    assert "the site has none of an earlier round" in str(outcome.warnings[0])
    shutil.copytree(tmp_path / "copy", run)
    outcome, _ = make().follow(order(5, "evaluate", sets=("val",)), weights)
    (warning,) = outcome.warnings
    assert "are of round 2, and this is round 5" in str(warning)
    assert told(task.follow(order(6), weights)[0]) == ["local-earlier"]


def test_a_site_that_was_not_asked_to_train_keeps_what_it_had(make):
    task, weights = make(), first()
    weights = task.follow(order(1), weights)[1]
    outcome, _ = task.follow(order(4, sets=("val",)), weights)
    assert told(outcome) == [] and loss(outcome) > 200
    new = make(site="south")
    outcome, _ = new.follow(order(4, "evaluate", sets=("val",), run="other"), weights)
    assert told(outcome) == ["local-anew"], "a model that is personal in name only"


def test_each_model_has_its_own(make, tmp_path):
    task = make()
    federation = task.follow(order(1), first())[1]
    task.follow(order(2), federation)
    outcome, _ = task.follow(order(1, sets=("val",), model="north"), first())
    assert loss(outcome) < 200
    kept = tmp_path / "personal" / "2026-01-01-001"
    assert sorted(path.name for path in kept.iterdir()) == ["federation", "north"]


def test_another_version_of_the_app_goes_on_if_the_form_is_the_same(make):
    weights = make().follow(order(1), first())[1]
    changed = BODY.replace("parameter.data += 1", "parameter.data += 2")
    outcome, weights = make(body=changed).follow(order(2, sets=("val",)), weights)
    assert loss(outcome) > 200 and told(outcome) == []
    wide = {"parameters.width": 5}
    outcome, _ = make(**wide).follow(order(3, sets=("val",)), weights)
    assert told(outcome) == ["local-changed"] and loss(outcome) < 200
    outcome, _ = make(**wide).follow(order(4, sets=("val",)), weights)
    assert told(outcome) == []


def test_the_round_that_was_chosen_is_tested_with_its_own_tensors(make, tmp_path):
    task, weights, models = make(select="best"), first(), {0: first()}
    for number in range(1, 6):
        models[number] = weights = task.follow(order(number), weights)[1]
    losses = [
        loss(make(select="best").follow(order(n, "evaluate", sets=("test",)), models[n])[0], "test")
        for n in (1, 2, 5)
    ]
    assert np.allclose(np.diff(losses), [210, 630], atol=0.01)
    whole = load(tmp_path / "personal/2026-01-01-001/federation/model.safetensors")
    assert level(whole) == 5 and whole["bn.num_batches_tracked"] == 5
    assert whole.keys() == task._form.keys()


@pytest.mark.parametrize("encoding", [one for one in ENCODINGS if one != MASKED])  # the link's
def test_every_encoding_carries_the_shared_tensors(make, encoding):
    task, shared = make(), describe(first())
    form = model_form(shared, encoding)
    sent = {name: np.zeros(t.shape, t.dtype) for name, t in form.items()}
    assert read_model(sent, shared, encoding)
    _, update = task.follow(order(1, encoding=encoding), sent)
    assert describe(update) == update_form(form, encoding)


def test_a_model_with_a_tensor_that_stays_is_not_the_site_s(make):
    task = make()
    whole = {**first(), "bn.weight": np.ones(70, np.float32)}
    with pytest.raises(Failure, match="not those of the notebook's Model"):
        task.follow(order(1), whole)


def test_what_training_adds_under_a_name_that_stays_does_not_leave(make):
    grown = make(body=BODY.replace("GROWS = False", "GROWS = True"))
    with pytest.raises(Failure, match="other tensors after a batch than Model"):
        grown.follow(order(1), first())


def test_a_worker_without_a_volume_says_so(tmp_path, make):
    make()
    task = Trainer(tmp_path / "app", CONFIG, tmp_path / "data", "north")
    task.follow(order(0, "join"), None)
    with pytest.raises(Failure, match="no folder for the tensors that stay there"):
        task.follow(order(1), first())
