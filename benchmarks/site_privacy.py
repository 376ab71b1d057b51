"""What does site-level differential privacy cost, with three hospitals and with many?

Scikit-learn's handwritten digits are dealt to so many sites of equal size, each of which trains a
small network with PyTorch. The server's own code clips, averages and adds noise, from files. Each
run is made without privacy, with the updates clipped only, and with noise for an epsilon.

    python -m benchmarks site_privacy [--sites 3 10 40] [--epsilon 8] [--seeds 3]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from flwr.serverapp.strategy import FedAvg
from rich.console import Console
from rich.table import Table

from benchmarks.poisoning import accuracy, digits, network, tensors, train
from benchmarks.privacy.noise import noise_for
from federator.runtime.protocol.privacy.gaussian import epsilon_of
from federator.runtime.server.aggregation.blockwise import aggregate
from federator.runtime.server.aggregation.geometry import measure
from federator.runtime.server.aggregation.robust import Weighting
from federator.runtime.server.aggregation.site_privacy import SitePrivacy
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

ROUNDS, DELTA, CLIP, TEST = 10, 1e-5, 1.0, 500


def run(sites: int, private: SitePrivacy | None, noisy: bool, seed: int) -> float:
    """Return the accuracy of the final model on the test set, in 0..1."""
    images, labels = digits(np.random.default_rng(seed))
    parts = np.array_split(np.arange(TEST, len(labels)), sites)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory(prefix="site-privacy-") as scratch:
        root = Path(scratch)
        save(root / "first", tensors(network()))
        model = Checkpoint(0, WeightFile(root / "first"))
        for number in range(1, ROUNDS + 1):
            before = {name: np.array(array) for name, array in model.weights.load().items()}
            files = []
            for site, part in enumerate(parts):
                drawn = seed * 1_000_000 + number * 1_000 + site
                save(root / str(site), train(before, (images[part], labels[part]), drawn))
                files.append(WeightFile(root / str(site)))
            weighting = Weighting.of([1 / sites] * sites)
            if private is not None:
                weighting = private.weigh(measure(model.weights, files, ()))
                weighting = weighting if noisy else replace(weighting, noise=0.0)
            folder = RunFolder(root / "run")
            model = aggregate(FedAvg(), number, model, files, weighting, folder, (), hashed=False)
        net = network(model.weights.load())
    return accuracy(net, (images[:TEST], labels[:TEST]))


def main(arguments: Sequence[str]) -> int:
    """Run everything, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks site_privacy", description=__doc__)
    parser.add_argument("--sites", type=int, nargs="+", default=[3, 10, 40], help="how many")
    parser.add_argument("--epsilon", type=float, default=8.0, help="of all rounds together")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    began, noise = (
        time.monotonic(),
        noise_for(lambda noise: epsilon_of(DELTA, noise, ROUNDS), options.epsilon, 0.1, 1e4),
    )
    title = (
        f"accuracy on the test set, %: {ROUNDS} rounds, epsilon {options.epsilon:g} at delta "
        f"{DELTA:g} (clip {CLIP:g}, noise {noise:.2f}), mean of {options.seeds} seeds"
    )
    table = Table(title=title)
    for name in ("sites", "without", "clipped only", "with noise"):
        table.add_column(name, justify="right")
    found = {}
    for sites in options.sites:
        private = SitePrivacy(CLIP, noise, DELTA, sites)
        each = [
            float(np.mean([run(sites, how, noisy, seed) for seed in range(options.seeds)]))
            for how, noisy in ((None, False), (private, False), (private, True))
        ]
        found[sites] = [round(100 * one, 1) for one in each]
        table.add_row(str(sites), *(f"{one:.1f}" for one in found[sites]))
    Console(width=110).print(table)
    seconds = int(time.monotonic() - began)
    print(json.dumps({"benchmark": "site_privacy", "accuracy": found, "seconds": seconds}))
    return 0
