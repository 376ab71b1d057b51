"""A site with a notebook whose ``train`` takes ``privacy``."""

import textwrap

import pytest

from federator.runtime.protocol.instructions import Instruction
from federator.runtime.worker.state import take
from federator.runtime.worker.trainer import Trainer

CONFIG = {"labels": "healthy,ill", "positive": "ill", "seed": 0, "metrics": ""}
PRIVACY = "epsilon=8.0 delta=0.001 clip=1.0 noise=1.1 unit=record"
BODY = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

N, BATCH, INPUTS, RATE = 96, 12, 4, 0.5
SIZES = {"trainset": N, "valset": 4, "testset": 4}


def loader(n, shuffle=False):
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(n, INPUTS, generator=draw)
    y = (x.sum(dim=1) > 0).long()
    return DataLoader(TensorDataset(x, y), batch_size=BATCH, shuffle=shuffle)


def load_data(data_path):
    return loader(N, True), loader(4), loader(4), SIZES


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(INPUTS, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, x):
        return self.layers(x)


def train(net, trainloader, valloader, epochs, privacy=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE)
    if privacy:
        net, optimizer, trainloader = privacy(net, optimizer, trainloader)
    criterion = nn.CrossEntropyLoss()
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()


def test(net, testloader):
    return 0.25, 0.5
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function that makes a site of the body above, with texts replaced or added."""
    monkeypatch.syspath_prepend(str(tmp_path / "app"))

    def made(
        *replaced: tuple[str, str], added: str = "", privacy: str = PRIVACY, **more: object
    ) -> Trainer:
        text = BODY
        for old, new in replaced:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        for folder in ("app", "data"):
            (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / "data" / "file").touch()
        (tmp_path / "app" / "task.py").write_text(text + "\n\n" + textwrap.dedent(added))
        config = {**CONFIG, **{name.replace("_", "-"): value for name, value in more.items()}}
        config |= {"privacy": privacy} if privacy else {}
        return Trainer(tmp_path / "app", config, tmp_path / "data", "north")

    return made


@pytest.fixture
def train():
    """Return a function that has a site train its first model, and returns the outcome, the model
    and the update."""

    models = {}

    def trained(trainer: Trainer, epochs: int = 1, **more: object):
        told = Instruction("train", 1, 9e9, epochs=epochs, **more)
        if trainer not in models:
            models[trainer] = take(trainer.model(0))
        outcome, update = trainer.follow(told, first := models[trainer])
        return outcome, first, update

    return trained
