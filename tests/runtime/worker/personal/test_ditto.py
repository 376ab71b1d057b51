"""A site's personal model: how it is trained, that it stays, and that it changes no update."""

import time

import numpy as np
import pytest
import torch

from federator.runtime.protocol.instructions import PERSONAL, Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import load
from federator.runtime.worker.personal.ditto import proximal_term
from federator.runtime.worker.trainer import Trainer

BODY = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def loader(n):
    x = torch.linspace(-1, 1, n * 2).reshape(n, 2)
    return DataLoader(TensorDataset(x, torch.arange(n) % 2), batch_size=4)


def load_data(data_path):
    return loader(8), loader(4), loader(4), {"trainset": 8, "valset": 4, "testset": 4}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)


def train(net, trainloader, valloader, epochs):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x, y in trainloader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()


def test(net, testloader):
    return float(net.layer.weight.detach().abs().sum()), 0.5
"""
OWN_TERM = """
def train(net, trainloader, valloader, epochs, proximal_mu=0.0, global_weights=()):
    (weight, bias) = net.parameters()
    weight.data = global_weights[0] + proximal_mu
"""
BY_HAND = """
def train(net, trainloader, valloader, epochs):
    for weights in net.parameters():
        weights.data += 1
"""
CONFIG = {
    **{"labels": "healthy,ill", "positive": "ill", "rounds": 1, "local-epochs": 1, "seed": 0},
    **{"metrics": "", "select": "last"},
}
DITTO = {"personal": "ditto", "proximal-mu": 0.5}


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that starts a site's worker."""
    monkeypatch.syspath_prepend(str(tmp_path / "app"))
    for folder in ("app", "data", "personal"):
        (tmp_path / folder).mkdir()
    (tmp_path / "data" / "file").touch()

    def made(added="", **config):
        (tmp_path / "app" / "task.py").write_text(BODY + added)
        given = {**CONFIG, **config}
        return Trainer(tmp_path / "app", given, tmp_path / "data", "north", tmp_path / "personal")

    return made


def order(number, kind="train", **fields):
    return Instruction(kind, number, time.time() + 60, **{"run": "one", "epochs": 1, **fields})


def first(level=0.0):
    return {
        "layer.weight": np.full((2, 2), level, np.float32),
        "layer.bias": np.zeros(2, np.float32),
    }


def test_a_step_goes_down_the_loss_and_the_proximal_term():
    net = torch.nn.Linear(3, 1)
    centre = {name: one.detach().numpy() + 1 for name, one in net.named_parameters()}
    before = {name: one.detach().clone() for name, one in net.named_parameters()}
    loss = net(torch.ones(4, 3)).square().mean()
    expected = {
        name: before[name] - 0.1 * (gradient + 2.0 * (before[name] - torch.tensor(centre[name])))
        for name, gradient in zip(
            before, torch.autograd.grad(loss, net.parameters(), retain_graph=True), strict=True
        )
    }
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with proximal_term(net, centre, 2.0):
        loss.backward()
        optimizer.step()
    for name, one in net.named_parameters():
        assert torch.allclose(one, expected[name], atol=1e-7)
    at = {name: one.detach().clone() for name, one in net.named_parameters()}
    optimizer.zero_grad()
    (net.weight.sum() * 0).backward()
    optimizer.step()
    assert torch.equal(net.weight, at["weight"]), "the term ends with the block"


def test_training_that_has_no_proximal_term_is_refused(make):
    with pytest.raises(Failure, match="trained without its proximal term: let train take"):
        make(BY_HAND, **DITTO).follow(order(1), first())
    make(BY_HAND).follow(order(1), first())


def test_a_train_that_takes_both_has_a_term_of_its_own(make, tmp_path):
    make(OWN_TERM, **DITTO).follow(order(1), first(3.0))
    kept = load(tmp_path / "personal" / "one" / PERSONAL / "round-001.safetensors")
    assert kept["layer.weight"].tolist() == [[3.5, 3.5], [3.5, 3.5]]


def test_what_the_server_gets_is_what_it_gets_without(make):
    plain, ditto, weights = make(), make(**DITTO), first()
    for number in (1, 2, 3):
        sent = [task.follow(order(number, sets=("val",)), weights) for task in (plain, ditto)]
        (one, update), (other, same) = sent
        assert one == other
        assert all(update[name].tobytes() == same[name].tobytes() for name in update)
        weights = update


def test_the_personal_model_goes_on_at_its_site_and_is_evaluated_there(make, tmp_path):
    task, losses = make(**DITTO), []
    for number in (1, 2, 3):
        task.follow(order(number), first())  # the federation's stands still
        told = task.follow(order(number, "evaluate", model=PERSONAL, sets=("val",)), None)[0]
        losses.append(told.evaluations["val"].loss)
        assert told.warnings == ()
    assert losses[0] < losses[1] < losses[2], "it goes on from what it was"
    again = make(**DITTO)
    outcome, update = again.follow(order(3, "evaluate", model=PERSONAL, sets=("test",)), None)
    assert outcome.evaluations["test"].loss == losses[2] and update is None
    whole = load(tmp_path / "personal" / "one" / PERSONAL / "model.safetensors")
    assert np.abs(whole["layer.weight"]).sum() == pytest.approx(losses[2])


def test_a_site_without_a_personal_model_says_so(make):
    task = make(**DITTO)
    with pytest.raises(Failure, match="has trained no personal model yet"):
        task.follow(order(1, "evaluate", model=PERSONAL, sets=("val",)), None)
    (warning,) = task.follow(order(4), first())[0].warnings
    assert "begins anew in round 4" in str(warning)
    assert task.follow(order(5), first())[0].warnings == ()
    with pytest.raises(Failure, match="has trained no personal model yet"):
        task.follow(order(5, "evaluate", model=PERSONAL, sets=("val",), run="two"), None)
