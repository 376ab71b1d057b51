"""What do differential privacy and secure aggregation cost, in time and bytes a round?

A federation runs for real (``federator run``) with three sites and a small convolutional network:
plain, with ``privacy:``, with ``secure_aggregation:`` and with both in turn, on the same data.
Printed are the median seconds of a round, of a site's part in it, and the bytes that a site
receives and sends in one.

    python -m benchmarks private_training [--rounds 4] [--runs 2]
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.seeds import run_notebook
from federator.results.history import Journal
from federator.runtime.server.journal import Round

SITES = ("north", "south", "west")
RECORDS, SIDE, BATCH = 512, 28, 64
PRIVACY = "privacy: {epsilon: 20, delta: 1e-3, clip: 1.0, noise: 2.0}\n"
MASKED = "secure_aggregation: true\n"
SETTINGS = {"plain": "", "private": PRIVACY, "masked": MASKED, "private, masked": PRIVACY + MASKED}
NOTEBOOK = f"""\
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def load_data(data_path):
    read = np.load(f"{{data_path}}/records.npz")
    data = TensorDataset(torch.from_numpy(read["x"]), torch.from_numpy(read["y"]))
    loader = DataLoader(data, batch_size={BATCH})
    return loader, loader, loader, dict.fromkeys(("trainset", "valset", "testset"), len(data))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.GroupNorm(4, 16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.GroupNorm(4, 32), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 2),
        )

    def forward(self, x):
        return self.layers(x)


def train(net, trainloader, valloader, epochs, privacy=None):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
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


def write_data(root: Path) -> None:
    """Write the sites' data below a folder."""
    for seed, site in enumerate(SITES):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(RECORDS, 1, SIDE, SIDE)).astype("f4")
        (root / "data" / site).mkdir(parents=True)
        np.savez(root / "data" / site / "records.npz", x=x, y=(x.sum((1, 2, 3)) > 0).astype("i8"))


def run(rounds: int, settings: str) -> Journal:
    """Run the federation, and return its journal."""
    with tempfile.TemporaryDirectory(prefix="cost-") as made:
        write_data(Path(made))
        more = f"rounds: {rounds}\nsurvey: false\n{settings}"
        return run_notebook("cost", NOTEBOOK, SITES, more, Path(made))


def figures(rounds: Iterable[Round]) -> dict[str, float]:
    """Return the medians of rounds; the first, in which libraries are imported, is left out."""
    warm = [one for one in rounds if one.round > 1]
    parts = [part for one in warm for part in one.sites.values()]
    return {
        "seconds a round": median(one.seconds for one in warm),
        "seconds a site": median(part.seconds or 0.0 for part in parts),
        "bytes down": median(part.bytes_down for part in parts),
        "bytes up": median(part.bytes_up for part in parts),
    }


def main(arguments: list[str]) -> int:
    """Run all in turn and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks private_training",
                                     description=__doc__)  # fmt: skip
    parser.add_argument("--rounds", type=int, default=4, help="of a run, at least 2")
    parser.add_argument("--runs", type=int, default=2, help="of each, in turn")
    options = parser.parse_args(arguments)
    found: dict[str, list[Round]] = {name: [] for name in SETTINGS}
    for _ in range(options.runs):
        for name, settings in SETTINGS.items():
            found[name] += run(options.rounds, settings).rounds.values()
    rows = {name: figures(rounds) for name, rounds in found.items()}
    table = Table(title=f"{len(SITES)} sites, {RECORDS} records each, batches of {BATCH}")
    for title in ("", *rows["plain"]):
        table.add_column(title, justify="right" if title else "left")
    for name, row in rows.items():
        table.add_row(name, *(f"{value:,.2f}".removesuffix(".00") for value in row.values()))
    Console(width=100).print(table)
    for name in list(SETTINGS)[1:]:
        times = rows[name]["seconds a site"] / rows["plain"]["seconds a site"]
        print(f"{name}: a site takes {times:.1f} times as long as plain")
    print(json.dumps({"benchmark": "private_training", **rows}))
    return 0
