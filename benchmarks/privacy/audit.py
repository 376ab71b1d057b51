"""An audit of private training by one run: a lower bound on its epsilon, from what leaks.

Canaries are records that the auditor makes up. Of each a coin decides whether it is in the training
set. From the trained model the auditor guesses of some which way the coin fell: with epsilon-
differential privacy each guess is right with a chance of at most e^epsilon / (1 + e^epsilon),
whatever the others are. More right guesses than that explains give a lower bound (Steinke, Nasr and
Jagielski 2023, https://arxiv.org/abs/2305.08846, theorem 5.2 and appendix D).

There are two kinds. In :func:`train` each canary has a weight of its own, which its gradient
changes by the clipping norm: the most that one record may do. In :func:`train_example` canaries are
random measurements with random labels, among the records of an example, and the auditor has the
final model only.
"""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import binom

from benchmarks.privacy.example import Example, first_in_path, follow, measured
from benchmarks.privacy.noise import settings_for
from federator.runtime.app_config import Setting
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Outcome
from federator.runtime.protocol.privacy.accountant import epsilon
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.worker.state import take
from federator.runtime.worker.trainer import Trainer

Floats = npt.NDArray[np.float64]

DELTA, CLIP, EPOCHS, BATCHES = 1e-5, 1.0, 2, 4
DOUBT = 0.05  # with what chance a bound may be wrong
SHARES = (0.05, 0.2, 0.5, 1.0)  # of the canaries that are guessed
_MOST, _HALVINGS = 50.0, 25
TASK = """\
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.app import parameter

CANARIES = parameter("CANARIES", 1000)
BATCH_SIZE = parameter("BATCH_SIZE", 100)


def load_data(data_path):
    inside = torch.from_numpy(np.load(f"{data_path}/inside.npy"))
    data = TensorDataset(10.0 * torch.eye(CANARIES)[inside], inside % 2)
    test = DataLoader(TensorDataset(*data[:4]), batch_size=4)
    sizes = {"trainset": len(data), "valset": 4, "testset": 4}
    return DataLoader(data, batch_size=BATCH_SIZE, shuffle=True), test, test, sizes


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(CANARIES, 2, bias=False)

    def forward(self, x):
        return self.layer(x)


def train(net, trainloader, valloader, epochs, privacy=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    if privacy:
        net, optimizer, trainloader = privacy(net, optimizer, trainloader)
    for _ in range(epochs):
        for x, y in trainloader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()


def test(net, testloader):
    return 0.0, 0.0
"""


@dataclass(frozen=True)
class Audit:
    """What a run tells.

    Attributes:
        claim: epsilon by the accountant, of what the worker says that it did; infinite without.
        bound: epsilon is above it, but for a chance of 5 %.
        right: the share of right guesses, where all are guessed.
    """

    claim: float
    bound: float
    right: float


def train(folder: Path, canaries: int, private: PrivacySettings | None, seed: int) -> Audit:
    """Have a site train on canaries, and audit it.

    Args:
        folder: to write the app and the data to.
        canaries: how many are made up.
        private: how the site trains.
        seed: of the coins; noise and batches are the operating system's.
    """
    inside = coins(canaries, seed)
    for name in ("app", "data"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "app" / "task.py").write_text(TASK)
    np.save(folder / "data" / "inside.npy", np.flatnonzero(inside))
    config: dict[str, Setting] = {
        "labels": "out,in", "positive": "in", "seed": 0, "metrics": "",
        "parameters.CANARIES": canaries, "parameters.BATCH_SIZE": _batch(inside),
    }  # fmt: skip
    config |= {"privacy": private.write()} if private else {}
    site = Trainer(first_in_path(folder / "app"), config, folder / "data", "site")
    before = take(site.model(0))
    outcome, after = follow(site, Instruction("train", 1, 9e9, epochs=EPOCHS), before)
    assert after is not None
    moved = after["layer.weight"].astype(float) - before["layer.weight"]
    scores = (moved[1] - moved[0]) * (2 * (np.arange(canaries) % 2) - 1)  # towards its label
    claim = claimed(outcome, private)
    return audited(scores, inside, claim)


def train_example(example: Example, canaries: int, claim: float | None, seed: int) -> Audit:
    """Have one site train the breast-cancer example on all hospitals' records and on canaries.

    Args:
        example: the federation.
        canaries: how many are made up.
        claim: epsilon of the training; None for one without privacy.
        seed: of the coins, the canaries and the records' sets.
    """
    inside, rng = coins(canaries, seed), np.random.default_rng([seed, 1])
    code, site = example.code(), f"canaries-{seed}"
    data = example.data(seed)
    low, high = (np.array(ends) for ends in zip(*code.RANGES.values(), strict=True))
    made = pd.DataFrame(rng.uniform(low, high, (canaries, len(low))), columns=list(code.RANGES))
    made.insert(0, "diagnosis", rng.choice(code.LABELS, canaries))
    shutil.copytree(data / "pooled", data / site, dirs_exist_ok=True)
    records = pd.concat([pd.read_csv(data / "pooled" / "train.csv"), made[inside]])
    records.to_csv(data / site / "train.csv", index=False)
    made.to_csv(data / site / "canaries.csv", index=False)
    epochs = int(example.config["rounds"]) * int(example.config["local-epochs"])
    private = claim and example.private_of([site], data, epochs, claim, DELTA, CLIP)
    worker = example.site(site, data, private or None)
    told = Instruction("train", 1, 9e9, epochs=epochs, seed=seed)
    outcome, after = follow(worker, told, take(worker.model(seed)))
    assert after is not None
    margins, _ = measured(example.code(), after, data / site / "canaries.csv")
    return audited(margins, inside, claimed(outcome, private or None))


def private(claim: float, canaries: int, seed: int) -> PrivacySettings:
    """Return settings of which the training of :func:`train` costs a certain epsilon."""
    inside = coins(canaries, seed)
    rate = _batch(inside) / int(inside.sum())
    steps = EPOCHS * -(-int(inside.sum()) // _batch(inside))
    return settings_for(claim, DELTA, CLIP, [(rate, steps)])


def coins(canaries: int, seed: int) -> npt.NDArray[np.bool_]:
    """Return which canaries are in the training set."""
    return np.random.default_rng(seed).random(canaries) < 0.5


def _batch(inside: npt.NDArray[np.bool_]) -> int:
    return max(1, int(inside.sum()) // BATCHES)


def claimed(outcome: Outcome, private: PrivacySettings | None) -> float:
    """Return epsilon by what a worker says of its training; infinite without privacy."""
    if private is None or (spent := outcome.spending) is None:
        return np.inf
    return epsilon({(spent.sample_rate, spent.noise): spent.steps}, private.delta)


def audited(scores: Floats, inside: npt.NDArray[np.bool_], claim: float) -> Audit:
    """Return what scores of canaries tell: the higher ones are guessed to be in.

    The best bound of several numbers of guesses is taken, each with its share of the doubt.
    """
    ranked = inside[np.argsort(scores)]
    bounds = []
    for share in SHARES:
        half = int(share * len(ranked) / 2)
        right = int((~ranked[:half]).sum() + ranked[len(ranked) - half :].sum())
        bounds.append(lower_bound(len(ranked), 2 * half, right, DELTA, DOUBT / len(SHARES)))
    return Audit(claim, max(bounds), right / (2 * half))


def lower_bound(canaries: int, guesses: int, right: int, delta: float, doubt: float) -> float:
    """Return the largest epsilon that so many right guesses exclude; 0 if they exclude none."""
    low, high = 0.0, _MOST
    if chance(canaries, guesses, right, low, delta) > doubt:
        return 0.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if chance(canaries, guesses, right, middle, delta) > doubt:
            high = middle
        else:
            low = middle
    return low


def chance(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Return the most likely that so many guesses are right, under (epsilon, delta)."""
    each = 1 / (1 + np.exp(-epsilon))
    pure = float(binom.sf(right - 1, guesses, each))
    # P[right - i <= B < right], by i, over i
    below = np.cumsum(binom.pmf(right - np.arange(1, right + 1), guesses, each))
    more = float(np.max(below / np.arange(1, right + 1), initial=0.0))
    return min(1.0, pure + 2 * canaries * delta * more)


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Take the noise out of private training, to see that an audit finds it."""
    with mock.patch("federator.runtime.worker.privacy.optimizer.normal", np.zeros):
        yield
