"""Does it help that sites keep their BatchNorm layers (FedBN), where their inputs differ?

Three sites measure the same eight quantities, each on scales and from zero points of its own, as
scanners and laboratories do; what they mean for the label is the same everywhere. For each seed the
data are drawn anew, and the federation runs for real (``federator run``), without and with
``local: ["norm*"]``; its final model is tested at each site.

    python -m benchmarks personal [--seeds 5]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.seeds import Difference, run_notebook
from federator.results.comparison import compare
from federator.runtime.protocol.instructions import FEDERATION

SITES = ("north", "south", "west")
SETS = {"train": 300, "val": 60, "test": 500}
FEATURES = 8
ROUNDS, EPOCHS = 8, 2
MARGIN = 5.0  # percentage points by which FedBN is to be better at every site
SETTINGS = {"FedAvg": "", "FedBN": 'local: ["norm*"]\n'}
NOTEBOOK = f"""\
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def load_data(data_path):
    loaders, sizes = [], {{}}
    for part in ("train", "val", "test"):
        read = np.load(f"{{data_path}}/{{part}}.npz")
        data = TensorDataset(torch.from_numpy(read["x"]), torch.from_numpy(read["y"]))
        loaders.append(DataLoader(data, batch_size=50, shuffle=part == "train"))
        sizes[f"{{part}}set"] = len(data)
    return *loaders, sizes


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm0, self.inner = nn.BatchNorm1d({FEATURES}), nn.Linear({FEATURES}, 32)
        self.norm1, self.outer = nn.BatchNorm1d(32), nn.Linear(32, 2)

    def forward(self, x):
        return self.outer(torch.relu(self.norm1(self.inner(self.norm0(x)))))


def train(net, trainloader, valloader, epochs):
    for _ in range(epochs):
        for x, y in trainloader:
            net.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            for weights in net.parameters():
                weights.data -= 0.1 * weights.grad


def test(net, testloader):
    losses, seen, right = 0.0, 0, 0
    with torch.no_grad():
        for x, y in testloader:
            scores = net(x)
            losses += nn.functional.cross_entropy(scores, y, reduction="sum").item()
            right += int((scores.argmax(1) == y).sum())
            seen += len(y)
    return losses / seen, right / seen
"""


def write_data(root: Path, seed: int) -> None:
    """Write the sites' data below a folder."""
    rng = np.random.default_rng(seed)
    meaning = rng.normal(size=FEATURES)
    for site in SITES:
        scales = np.exp(rng.normal(0.0, 0.7, FEATURES))
        zeros = rng.normal(0.0, 2.0, FEATURES) * scales
        folder = root / "data" / site
        folder.mkdir(parents=True)
        for part, size in SETS.items():
            true = rng.normal(size=(size, FEATURES))
            labels = (true @ meaning + true[:, 0] * true[:, 1] > 0).astype(np.int64)
            np.savez(folder / f"{part}.npz", x=(true * scales + zeros).astype("f4"), y=labels)


def run(seed: int, settings: str) -> dict[str, float]:
    """Return the accuracy of the final model at each site, in 0..1."""
    with tempfile.TemporaryDirectory(prefix=f"seed-{seed}-") as made:
        write_data(Path(made), seed)
        more = f"rounds: {ROUNDS}\nlocal_epochs: {EPOCHS}\nseed: {seed}\n{settings}"
        journal = run_notebook("personal", NOTEBOOK, SITES, more, Path(made))
    found = {}
    for site in SITES:
        (row,) = compare(journal, site, (FEDERATION,))
        found[site] = row.figures["accuracy"].value or 0.0
    return found


def main(arguments: list[str]) -> int:
    """Run all seeds and print the table; 1 if FedBN is not better by the margin at every site."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks personal", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many, at least 2")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("a difference between seeds needs at least 2 of them")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
    began = time.monotonic()
    for seed in range(options.seeds):
        for name, settings in SETTINGS.items():
            found[name].append(run(seed, settings))
    table = Table(title=f"accuracy at each site's test set, %: mean over {options.seeds} seeds")
    for title in ("", *found, *(f"{name} - FedAvg" for name in list(found)[1:])):
        table.add_column(title, justify="right" if title else "left")
    leads = {}
    for site in SITES:
        values = {name: [one[site] for one in figures] for name, figures in found.items()}
        cells = [f"{100 * np.mean(each):.2f}" for each in values.values()]
        for name in list(found)[1:]:
            points = [[100 * one for one in values[each]] for each in (name, "FedAvg")]
            leads[name, site] = Difference.of(*points)
            cells.append(str(leads[name, site]).strip())
        table.add_row(site, *cells)
    Console(width=110).print(table)
    least = min(leads["FedBN", site].mean for site in SITES)
    shown = least >= MARGIN
    print(
        f"FedBN above FedAvg by {MARGIN:.0f} points or more at every site: "
        f"{'shown' if shown else 'NOT shown'}"
    )
    seconds = time.monotonic() - began
    print(json.dumps({"benchmark": "personal", "least": round(least, 2), "seconds": int(seconds)}))
    return 0 if shown else 1
