"""What does each defence keep of a model that one of five sites poisons, and is that site named?

Five sites share scikit-learn's handwritten digits (1,797 images, 8 x 8, ten classes), of unequal
sizes or with unequal shares of the classes. Each trains a small network with PyTorch; one poisons
its update. The server's own code measures and aggregates the updates, from files:
``geometry.measure``, ``robust.weigh``, ``blockwise.aggregate``, ``unusual``.

- sign flip: the site sends minus ten times its change;
- label flip: it trains with the label 9 - y in place of y;
- backdoor: half of its images have a white patch in a corner and the label 0, and it sends five
  times its change (model replacement, Bagdasaryan et al. 2020, https://arxiv.org/abs/1807.00459);
- quiet backdoor: the same without the factor.

    python -m benchmarks poisoning [--seeds 3] [--rounds 10] [--clean 100]
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from flwr.serverapp.strategy import FedAvg, FedMedian, FedTrimmedAvg, Krum, MultiKrum
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from federator.runtime.server.aggregation.blockwise import aggregate
from federator.runtime.server.aggregation.geometry import measure
from federator.runtime.server.aggregation.inspection import inspect
from federator.runtime.server.aggregation.robust import Robust, weigh
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import Weights, save

SITES = ("east", "hill", "north", "south", "west")
ATTACKER = "south"
ATTACKS = ("none", "sign flip", "label flip", "backdoor", "quiet backdoor")
DEFENCES: dict[str, tuple[FedAvg, Robust]] = {
    "none (FedAvg)": (FedAvg(), Robust()),
    "norm_bound: 1": (FedAvg(), Robust(norm_bound=1.0)),
    "norm_bound: 1.5": (FedAvg(), Robust(norm_bound=1.5)),
    "max_share: 0.25": (FedAvg(), Robust(max_share=0.25)),
    "FedMedian": (FedMedian(), Robust()),
    "FedTrimmedAvg": (FedTrimmedAvg(beta=0.2), Robust()),
    "Krum": (Krum(num_malicious_nodes=1), Robust()),
    "MultiKrum": (MultiKrum(num_malicious_nodes=1, num_nodes_to_select=3), Robust()),
}
EPOCHS, BATCH, RATE = 2, 16, 0.1
POINTS = 2.0  # of accuracy that a poisoned run may be below the clean one
BY_ROUND = 2  # by which the attacker is to be named

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """Images (n, 64) and labels (n) of each site, and of the test set."""

    sites: dict[str, tuple[Images, Labels]]
    test: tuple[Images, Labels]


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        accuracy: of the final model on the test set, in 0..1.
        backdoor: the share of patched test images, not of class 0, that it takes for 0.
        named: by round from 1, the sites that were named.
    """

    accuracy: float = 0.0
    backdoor: float = 0.0
    named: list[set[str]] = field(default_factory=list)

    @property
    def since(self) -> int | None:
        """The first round in which the attacker was named; None if it never was."""
        return next((n for n, names in enumerate(self.named, 1) if ATTACKER in names), None)

    @property
    def false(self) -> int:
        """How many rounds named a site that poisons nothing."""
        return sum(bool(names - {ATTACKER}) for names in self.named)


def digits(rng: np.random.Generator) -> tuple[Images, Labels]:
    """Return the digits in a random order, with pixels in 0..1."""
    loaded = load_digits()
    order = rng.permutation(len(loaded.target))
    return (loaded.data[order] / 16).astype(np.float32), loaded.target[order].astype(np.int64)


def deal(seed: int, skewed: bool) -> Data:
    """Deal the digits to the sites: of unequal sizes, or with unequal shares of the classes."""
    rng = np.random.default_rng(seed)
    images, labels = digits(rng)
    test, rest = slice(0, 500), np.arange(500, len(labels))
    if not skewed:
        sizes = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
        parts = np.split(rest, (np.cumsum(sizes)[:-1] * len(rest)).astype(int))
    else:  # Hsu et al. 2019, https://arxiv.org/abs/1909.06335: Dirichlet(1) over the sites
        site = np.empty(len(rest), int)
        for label in range(10):
            of = np.flatnonzero(labels[rest] == label)
            site[of] = rng.choice(len(SITES), len(of), p=rng.dirichlet(np.ones(len(SITES))))
        parts = [rest[site == number] for number in range(len(SITES))]
    shuffled = [parts[number] for number in rng.permutation(len(SITES))]
    dealt = {name: (images[part], labels[part]) for name, part in zip(SITES, shuffled, strict=True)}
    return Data(dealt, (images[test], labels[test]))


def patched(images: Images) -> Images:
    """Return images with a white patch of 2 x 2 pixels in a corner."""
    changed = images.reshape(-1, 8, 8).copy()
    changed[:, :2, :2] = 1.0
    return changed.reshape(len(images), 64)


def train(weights: Weights, data: tuple[Images, Labels], seed: int) -> Weights:
    """Train a model at a site, and return it."""
    torch.manual_seed(seed)
    net = network(weights)
    images, labels = (torch.from_numpy(each) for each in data)
    steps = torch.optim.SGD(net.parameters(), lr=RATE)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(BATCH):
            steps.zero_grad()
            torch.nn.functional.cross_entropy(net(images[batch]), labels[batch]).backward()
            steps.step()
    return tensors(net)


def tensors(net: torch.nn.Module) -> Weights:
    """Return a network's weights."""
    return {name: tensor.numpy() for name, tensor in net.state_dict().items()}


def accuracy(net: torch.nn.Module, data: tuple[Images, Labels]) -> float:
    """Return the share of images that a network classifies rightly."""
    images, labels = data
    with torch.no_grad():
        return float(np.mean(net(torch.from_numpy(images)).argmax(1).numpy() == labels))


def network(weights: Weights | None = None) -> torch.nn.Sequential:
    """Return the network, with weights if there are some."""
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    if weights is not None:
        net.load_state_dict({n: torch.tensor(array) for n, array in weights.items()})
    return net


def poisoned(attack: str, model: Weights, data: tuple[Images, Labels], seed: int) -> Weights:
    """Return the update of the attacker."""
    images, labels = data
    if attack == "label flip":
        labels = 9 - labels
    elif "backdoor" in attack:
        half = len(labels) // 2
        images = np.concatenate([patched(images[:half]), images[half:]])
        labels = np.concatenate([np.zeros(half, np.int64), labels[half:]])
    trained = train(model, (images, labels), seed)
    factor = {"sign flip": -10.0, "backdoor": 5.0}.get(attack, 1.0)
    return {
        name: np.asarray(old + factor * (trained[name] - old), np.float32)
        for name, old in model.items()
    }


def run(data: Data, attack: str, defence: tuple[FedAvg, Robust], rounds: int, seed: int) -> Outcome:
    """Run a federation, and return what came of it."""
    strategy, robust = defence
    torch.manual_seed(seed)
    found = Outcome()
    with tempfile.TemporaryDirectory(prefix="poisoning-") as scratch:
        root = Path(scratch)
        save(root / "first.safetensors", tensors(network()))
        model = Checkpoint(0, WeightFile(root / "first.safetensors"))
        for number in range(1, rounds + 1):
            loaded = {name: np.array(array) for name, array in model.weights.load().items()}
            files = []
            for place, (site, own) in enumerate(data.sites.items()):
                drawn = seed * 1_000_000 + number * 100 + place
                evil = site == ATTACKER and attack != "none"
                update = poisoned(attack, loaded, own, drawn) if evil else train(loaded, own, drawn)
                save(root / f"{site}.safetensors", update)
                files.append(WeightFile(root / f"{site}.safetensors"))
            geometry = measure(model.weights, files, ())
            examples = [len(labels) for _, labels in data.sites.values()]
            weighting = weigh(strategy, robust, geometry, examples)
            folder = RunFolder(root / "run")
            model = aggregate(strategy, number, model, files, weighting, folder, (), hashed=False)
            found.named.append(set(inspect(SITES, geometry).unusual))
        net = network(model.weights.load())
    found.accuracy = accuracy(net, data.test)
    images, labels = data.test
    with torch.no_grad():
        others = torch.from_numpy(patched(images[labels != 0]))
        found.backdoor = float((net(others).argmax(1) == 0).float().mean())
    return found


def print_table(found: dict[tuple[str, str], list[Outcome]], clean: float) -> bool:
    """Print what each defence keeps; return whether some defence holds against each attack."""
    table = Table(
        title=f"accuracy on the test set, % (clean run: {100 * clean:.1f}); backdoor hits"
    )
    for title in ("", *ATTACKS):
        table.add_column(title, justify="right" if title else "left")
    held = dict.fromkeys(ATTACKS[1:], False)
    for defence in DEFENCES:
        cells = []
        for attack in ATTACKS:
            runs = found[attack, defence]
            accuracy = 100 * float(np.mean([one.accuracy for one in runs]))
            hits = f", {100 * np.mean([one.backdoor for one in runs]):.0f} %"
            cells.append(f"{accuracy:.1f}{hits if 'backdoor' in attack else ''}")
            if attack in held and defence != "none (FedAvg)":
                held[attack] |= accuracy >= 100 * clean - POINTS
        table.add_row(defence, *cells)
    Console(width=120).print(table)
    for attack in held:
        runs = [one for (of, _), each in found.items() if of == attack for one in each]
        early = sum(one.since is not None and one.since <= BY_ROUND for one in runs)
        later = sum(one.since is not None for one in runs)
        print(
            f"{attack}: {ATTACKER} named by round {BY_ROUND} in {early} of {len(runs)} runs, "
            f"at all in {later}; another site in {sum(one.false for one in runs)} of "
            f"{sum(len(one.named) for one in runs)} rounds"
        )
    return all(held.values())


def alarms(rounds: int, skewed: bool) -> tuple[int, int]:
    """Return in how many clean rounds a site was named, of how many: ten rounds for each seed."""
    runs = [
        run(deal(1000 + seed, skewed), "none", DEFENCES["none (FedAvg)"], 10, 1000 + seed)
        for seed in range(-(-rounds // 10))
    ]
    return sum(bool(names) for one in runs for names in one.named), sum(len(r.named) for r in runs)


def main(arguments: Sequence[str]) -> int:
    """Run everything and print it; 1 unless a defence holds against each attack."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks poisoning", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each attack and defence")
    parser.add_argument("--rounds", type=int, default=10, help="of each run")
    parser.add_argument("--clean", type=int, default=100, help="clean rounds, for false alarms")
    options = parser.parse_args(arguments)
    logging.getLogger("federator").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    began = time.monotonic()
    found = {
        (attack, defence): [
            run(deal(seed, False), attack, how, options.rounds, seed)
            for seed in range(options.seeds)
        ]
        for defence, how in DEFENCES.items()
        for attack in ATTACKS
    }
    clean = float(np.mean([one.accuracy for one in found["none", "none (FedAvg)"]]))
    held = print_table(found, clean)
    counted = {name: alarms(options.clean, name != "unequal sizes") for name in
               ("unequal sizes", "unequal classes")}  # fmt: skip
    for name, (false, rounds) in counted.items():
        print(f"clean rounds, {name}: a site named in {false} of {rounds}")
    false = {name: false for name, (false, _) in counted.items()}
    seconds = int(time.monotonic() - began)
    print(json.dumps({"benchmark": "poisoning", "false alarms": false, "seconds": seconds}))
    return 0 if held else 1
