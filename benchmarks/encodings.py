"""What fewer bytes cost in accuracy: the same federations in each encoding, seed by seed.

For each seed the sites' data are laid out anew, and the federation runs for real in each encoding
(``federator run``); its final model is tested once on every site's test set.

    python -m benchmarks encodings [--federation compose/breast-cancer] [--seeds 20]
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.seeds import Difference, measure, rehearse
from federator.results import history
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.weights.encoding import ENCODINGS, EXACT

Figures = dict[str, float]


def run(source: Path, seed: int, encoding: str, root: Path) -> Figures:
    """Return the headline figures of the final model, and the bytes of a round at a site."""
    folder = rehearse(source, seed, root, baselines=False, encoding=encoding)[1]
    done = history.read(folder)
    together = done.tests[FEDERATION].pooled()
    assert together is not None
    parts = [part for trained in done.trained() for part in trained.sites.values()]
    moved = sum(part.bytes_down + part.bytes_up for part in parts) / len(parts)
    return {**measure(done.view, together.tables), "bytes": moved}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks encodings", description=__doc__)
    parser.add_argument("--federation", type=Path, default=Path("compose/breast-cancer"))
    parser.add_argument("--seeds", type=int, default=20, help="how many, at least 2")
    options = parser.parse_args(arguments)
    if options.seeds < 2:
        parser.error("a difference between seeds needs at least 2 of them")
    found: dict[str, list[Figures]] = {encoding: [] for encoding in ENCODINGS}
    for seed in range(options.seeds):
        for encoding, figures in found.items():
            root = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-"))
            figures.append(run(options.federation.resolve(), seed, encoding, root))
            shutil.rmtree(root)  # not after an error: the logs are in there
    metrics = [name for name in found[EXACT][0] if name != "bytes"]
    table = Table(title=f"{options.federation.name}, {options.seeds} seeds: on all test sets")
    for title in ("", "kB a round and site", *metrics, *(f"{m} - {EXACT}" for m in metrics)):
        table.add_column(title, justify="right" if title else "left")
    for encoding, figures in found.items():
        values = {name: [one[name] for one in figures] for name in (*metrics, "bytes")}
        cells = [f"{np.mean(values['bytes']) / 1000:.1f}"]
        cells += [f"{np.mean(values[metric]):.4g}" for metric in metrics]
        for metric in metrics:
            exact = [one[metric] for one in found[EXACT]]
            same = values[metric] == exact
            cells.append("none" if same else str(Difference.of(values[metric], exact)))
        table.add_row(encoding, *cells)
    Console(width=110).print(table)
    moved = {encoding: sum(one["bytes"] for one in figures) for encoding, figures in found.items()}
    ratios = {encoding: round(sent / moved[EXACT], 3) for encoding, sent in moved.items()}
    print(json.dumps({"benchmark": "encodings", "ratio": min(ratios.values()), "bytes": ratios}))
