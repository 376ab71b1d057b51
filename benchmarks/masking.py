"""What secure aggregation costs a round, beside the same round without: time, bytes, and accuracy.

Links and server are called in this process, one after the other, without a network and without
training: so the seconds of a site are those that masking adds to its round, and the seconds of
the server those of the whole aggregation, from the updates on disk to the next model on disk
(without masks, with the norms and directions of the updates, which a sum does not show).
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.serverapp.strategy import FedAvg
from rich.console import Console
from rich.table import Table

from federator.runtime.keys.site_key import entry
from federator.runtime.link.secure_aggregation.cohort import Cohort
from federator.runtime.link.secure_aggregation.masking import SiteMasks
from federator.runtime.masking.fixed_point import DEFAULT_BOUND, Grid
from federator.runtime.masking.terms import Member, RunKey, Terms
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.shared_memory import Memory, Update
from federator.runtime.server.aggregation import geometry
from federator.runtime.server.aggregation.blockwise import aggregate
from federator.runtime.server.aggregation.robust import Robust, Weighting, weigh
from federator.runtime.server.secure_aggregation.unmasking import mean_form, write_mean
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.encoding import EXACT, MASKED
from federator.runtime.weights.format import Weights, describe, load, save

RUN, APP, EXAMPLES = "run", "a" * 64, 100


class Figures(NamedTuple):
    """Of a round: seconds, bytes of an update, and the largest difference, in quanta."""

    site_s: float
    plain_s: float
    masked_s: float
    plain_bytes: int
    masked_bytes: int
    quanta: float


def model(numbers: int) -> Weights:
    """Return a model of so many numbers: a large layer, a small one, and a counter."""
    random = np.random.default_rng(0)
    large = random.normal(0, 0.1, numbers - 1000).astype(np.float32)
    small = random.normal(0, 0.1, 1000).astype(np.float32)
    return {"large": large, "small": small, "batches": np.array(100)}


def join(names: list[str]) -> tuple[dict[str, SiteMasks], dict[str, RunKey]]:
    """Return the masks of sites that have joined a run, and their keys of it."""
    keys = {name: ec.generate_private_key(ec.SECP384R1()) for name in names}
    cohort = Cohort.read([entry(key.public_key(), name) for name, key in keys.items()], 3)
    sites = {name: SiteMasks(name, key, APP, cohort) for name, key in keys.items()}
    told = Instruction("join", 0, time.time() + 60, run=RUN)
    joined = {name: site.tell(told).key for name, site in sites.items()}
    return sites, {name: key for name, key in joined.items() if key is not None}


class Sum:
    """A round with secure aggregation: the sites' masks, and the sum at the server.

    Args:
        given: the model of the round.
        names: of the sites, in order.
        examples: that each of them has.
        scratch: a folder to write to.

    Attributes:
        terms: of the round.
        seconds: that masking took, by site.
    """

    def __init__(self, given: Weights, names: list[str], examples: int, scratch: Path) -> None:
        self._sites, keys = join(names)
        members = (Member(name, examples, keys[name]) for name in names)
        self.terms = Terms(1, Grid.finest(DEFAULT_BOUND, len(names)), tuple(members))
        self._given, self._examples, self._scratch = given, examples, scratch
        self._seeds: dict[str, str] = {}
        self.seconds: list[float] = []
        save(scratch / "model", given)

    def hide(self, name: str, trained: Weights) -> WeightFile:
        """Return what a site sends of a model that it trained; it reveals its seed afterwards."""
        later, site, terms = time.time() + 600, self._sites[name], self.terms.write()
        site.admit(
            Instruction("train", 1, later, encoding=MASKED, run=RUN, masking=terms), "b" * 64
        )
        memory, lent = Memory.of(self._given), Memory.of(trained)
        update = Update.place(memory, describe(self._given), EXACT)._replace(memory=lent)
        began = time.perf_counter()
        hidden = site.hidden(update, memory, self._examples)
        self.seconds.append(time.perf_counter() - began)
        assert hidden is not None
        save(self._scratch / f"{name}.masked", hidden.weights)
        told = site.tell(Instruction("reveal", 1, later, run=RUN, masking=terms))
        self._seeds[name] = told.seed
        return WeightFile(self._scratch / f"{name}.masked")

    def mean(self) -> WeightFile:
        """Return the mean of all sites' models, as the server makes it of what they sent."""
        before = WeightFile(self._scratch / "model")
        masked = {name: WeightFile(self._scratch / f"{name}.masked") for name in self.terms.sites}
        return Store(self._scratch / "store").make(
            mean_form(before.tensors),
            lambda out: write_mean(
                before, masked, self._seeds, self.terms, self.terms.name(RUN, 1), out
            ),
        )


def measure(numbers: int, count: int, scratch: Path) -> Figures:
    """Return what a round of so many sites takes, masked and plain."""
    names = [f"site-{number:02}" for number in range(count)]
    given, random = model(numbers), np.random.default_rng(1)
    total = Sum(given, names, EXAMPLES, scratch)
    plain, masked = list[WeightFile](), list[WeightFile]()
    for name in names:
        trained = {
            "large": given["large"] + random.normal(0, 0.01, numbers - 1000).astype(np.float32),
            "small": given["small"] + random.normal(0, 0.01, 1000).astype(np.float32),
            "batches": given["batches"] + 7,
        }
        save(scratch / f"{name}.plain", trained)
        plain.append(WeightFile(scratch / f"{name}.plain"))
        masked.append(total.hide(name, trained))
    before = Checkpoint(0, WeightFile(scratch / "model"))
    began = time.perf_counter()
    folder = RunFolder(scratch / "runs" / "plain")
    known = geometry.measure(before.weights, plain, ())
    weighting = weigh(FedAvg(), Robust(), known, [EXAMPLES] * count)
    aggregate(FedAvg(), 1, before, plain, weighting, folder, ())
    plain_s, began = time.perf_counter() - began, time.perf_counter()
    mean = total.mean()
    folder = RunFolder(scratch / "runs" / "masked")
    aggregate(FedAvg(), 1, before, [mean], Weighting.of([1.0]), folder, ())
    masked_s = time.perf_counter() - began
    one, other = (
        load(scratch / "runs" / kind / "round-001.safetensors") for kind in ("plain", "masked")
    )
    apart = max(float(np.abs(one[n].astype(float) - other[n]).max()) for n in ("large", "small"))
    assert one["batches"] == other["batches"]
    return Figures(
        statistics.median(total.seconds), plain_s, masked_s,
        plain[0].size, masked[0].size, apart / total.terms.grid.quantum,
    )  # fmt: skip


def main(arguments: list[str]) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks masking", description=__doc__)
    parser.add_argument("--numbers", type=int, default=10_000_000, help="of the model")
    parser.add_argument("--sites", type=int, nargs="+", default=[3, 6, 12], help="how many")
    options = parser.parse_args(arguments)
    table = Table(title=f"A model of {options.numbers:,} numbers")
    for title in (
        "sites", "site: masking, s", "server: plain, s", "server: masked, s",
        "update: plain, MB", "update: masked, MB", "largest difference, quanta",
    ):  # fmt: skip
        table.add_column(title, justify="right")
    for count in options.sites:
        with tempfile.TemporaryDirectory() as scratch:
            found = measure(options.numbers, count, Path(scratch))
        table.add_row(
            str(count), f"{found.site_s:.2f}", f"{found.plain_s:.2f}", f"{found.masked_s:.2f}",
            f"{found.plain_bytes / 1e6:.1f}", f"{found.masked_bytes / 1e6:.1f}",
            f"{found.quanta:.2f}",
        )  # fmt: skip
    Console(width=120).print(table)
