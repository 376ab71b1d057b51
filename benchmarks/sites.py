"""How a round grows with the number of sites: links with real keys through the real gateway.

The sites' training is one multiplication of a model of 1 MB, and they test what they receive. The
peer is stock Flower with as many SuperNodes, which train and test; each starts a process for every
message, so it is asked for the smaller numbers only.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.light import deployment, model, stock
from benchmarks.light.memory import Peak
from federator.runtime.weights.format import save

HERE = Path(__file__).parent
_PROCESSES = 4


def ours(sites: int, rounds: int, scratch: Path) -> tuple[float, float]:
    """Return the seconds of a round, and the peak of the server's side in MB."""
    names = [f"site-{number}" for number in range(sites)]
    with deployment.server(scratch, names, megabytes=1) as deployed:
        public = (deployed.federation.folder / "public" / "coordinator.pub").read_text().strip()
        for number in range(min(_PROCESSES, sites)):
            deployed.start(
                f"links-{number}",
                *(sys.executable, "-m", "benchmarks.light.links", "--server", deployed.address),
                *("--ca", deployed.ca, "--coordinator-key", public),
                *("--app-hash", deployed.hash, "--root", deployed.root),
                *names[number::_PROCESSES],
            )
        with Peak({"server": deployment.server_side(deployed)}) as peak:
            return deployment.run(deployed, rounds), peak.bytes["server"] / 1e6


def peer(sites: int, rounds: int, scratch: Path) -> tuple[float, float]:
    """Return the same of stock Flower."""
    scratch.mkdir()
    save(scratch / "first.safetensors", model.build(1))
    nodes = [f"site={number}" for number in range(sites)]
    times, server = stock.rounds(
        HERE / "stock_arrays", nodes, f"sites={sites}", rounds, scratch,
        FIRST_MODEL=str(scratch / "first.safetensors"),
    )  # fmt: skip
    return statistics.median(times), server / 1e6


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sites", description=__doc__)
    add = parser.add_argument
    add("--sites", type=int, nargs="+", default=[3, 10, 30, 100])
    add("--rounds", type=int, default=4, help="the first not counted")
    add("--peer", type=int, default=10, help="the most sites that stock Flower is asked for")
    options = parser.parse_args(arguments)
    table = Table(title=f"a round of light sites, {os.cpu_count()} cores")
    for column in ("sites", "ours, s", "server's side, MB", "stock Flower, s", "its server, MB"):
        table.add_column(column, justify="right")
    found = []
    for sites in options.sites:
        with tempfile.TemporaryDirectory(prefix="bench-", dir=deployment.scratch()) as folder:
            seconds, memory = ours(sites, options.rounds, Path(folder) / "ours")
            row: dict[str, float | None] = {"sites": sites, "round_s": seconds, "server_mb": memory}
            if sites <= options.peer:
                theirs, theirs_mb = peer(sites, options.rounds, Path(folder) / "stock")
                row |= {"stock_s": theirs, "stock_mb": theirs_mb, "ratio": seconds / theirs}
        found.append(row)
        cells = [row.get(name) for name in ("round_s", "server_mb", "stock_s", "stock_mb")]
        table.add_row(str(sites), *("" if cell is None else f"{cell:.2f}" for cell in cells))
    Console().print(table)
    compared = [row["ratio"] for row in found if row.get("ratio")]
    print(
        json.dumps(
            {"benchmark": "sites", "ratio": compared[-1] if compared else None, "runs": found}
        )
    )
