"""Is the federation better than every site alone, and as good as training on the pooled data?

For each seed the sites' data are laid out anew (``<notebook>_sites.py --seed N``), the federation
runs for real with that seed (``federator run``, with baselines), and the worker's own code trains
the same first model on the pooled data for as many epochs. Each model is tested once on every
site's test set; its accuracy and F1 are those of the summed counts.

    python -m benchmarks seeds [--federation compose/breast-cancer] [--seeds 20]
"""

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from federator.runtime.protocol.metrics import summarise
from ruamel.yaml import YAML
from scipy import stats

from federator.federation import schema
from federator.federation.schema import FILE, Federation
from federator.results import history
from federator.runtime.app_config import app_config
from federator.runtime.protocol.evaluation.tables import Table
from federator.runtime.protocol.instructions import FEDERATION, Instruction
from federator.runtime.weights import format
from federator.runtime.worker.trainer import Trainer

POOLED = "pooled"
METRICS = ("accuracy", "f1")
MARGIN = 0.01  # how far below training on the pooled data the federation's accuracy may be

Numbers = dict[str, dict[str, float]]  # model → metric → value


@dataclass(frozen=True)
class Difference:
    """By how much one model is better than another in a metric, seed by seed."""

    mean: float
    low: float
    high: float

    @staticmethod
    def of(ours: Sequence[float], theirs: Sequence[float]) -> "Difference":
        """Return the mean of the paired differences and its 95 % t-interval (two seeds or more)."""
        each = np.subtract(ours, theirs)
        mean, half = float(each.mean()), float(stats.t.ppf(0.975, len(each) - 1) * stats.sem(each))
        return Difference(mean, mean - half, mean + half)

    def __str__(self) -> str:
        return f"{100 * self.mean:+6.2f} ({100 * self.low:+.2f} to {100 * self.high:+.2f})"


def rehearse(source: Path, seed: int, root: Path, **changes: object) -> tuple[Federation, Path]:
    """Run the federation in the folder ``source`` with a seed, everything below ``root``.

    Returns:
        The federation as it was run, with ``changes`` in its file, and the folder of the run.
    """
    settings = YAML().load(source / FILE)
    notebook = (source / settings["notebook"]).resolve()
    data, folder = root / "data", root / "compose" / source.name
    _call(sys.executable, notebook.with_name(f"{notebook.stem}_sites.py"), data, "--seed", seed)
    settings.update(notebook=str(notebook), seed=seed, **changes)
    for site in settings["sites"]:
        site["data"] = str(data / site["name"])
    folder.mkdir(parents=True)
    YAML().dump(settings, folder / FILE)
    _call(Path(sys.executable).with_name("federator"), "run", folder)

    read = schema.read(folder)
    if len(read.labels) != 2:
        raise SystemExit("this comparison is for federations of two labels")
    (run,) = (read.root / "results" / read.name).iterdir()
    return read, run


def run_seed(source: Path, seed: int, root: Path) -> Numbers:
    """Return the metrics of each model on all test sets together, in 0..1."""
    read, run = rehearse(source, seed, root, baselines=True)
    done = history.read(run)
    counts = {
        model: together.tables["confusion"]
        for model, test in done.tests.items()
        if (together := test.pooled())
    }
    counts[POOLED] = train_pooled(
        read.root / "build" / read.name / "app", run, root / "data" / POOLED
    )
    return {model: measure(matrix, done.positive) for model, matrix in counts.items()}


def measure(counts: Table, positive: int | None) -> dict[str, float]:
    """Return the metrics of a confusion matrix."""
    numbers = summarise(counts, positive)
    return {name: getattr(numbers, name) or 0.0 for name in METRICS}


def train_pooled(app: Path, run: Path, data: Path) -> Table:
    """Train on the pooled data from the run's first weights, and return the test counts.

    The worker's own code does it, in one round of as many epochs as the federation had in all.
    """
    config = app_config(app)
    seed, later = int(config["seed"]), time.time() + 3600
    epochs = int(config["rounds"]) * int(config["local-epochs"])
    training = Instruction("train", 1, later, epochs=epochs, seed=seed)
    testing = Instruction("evaluate", 1, later, seed=seed, sets=("test",))
    task = Trainer(app, config, data, POOLED)
    with contextlib.redirect_stdout(io.StringIO()):
        first = format.load(run / "round-000.safetensors")
        _, trained = task.follow(training, first)
        outcome, _ = task.follow(testing, trained)
    return outcome.evaluations["test"].tables["confusion"]


def describe(seeds: Sequence[Numbers]) -> str:
    """Return the tables of means and paired differences, and what they say."""
    sites = [model for model in seeds[0] if model not in (FEDERATION, POOLED)]
    values = {
        (model, metric): [numbers[model][metric] for numbers in seeds]
        for model in seeds[0]
        for metric in METRICS
    }
    # The best site of each seed by its test result: kinder to the single sites than any fixed one.
    for metric in METRICS:
        values["best site", metric] = [max(n[site][metric] for site in sites) for n in seeds]
    lines = [f"mean over {len(seeds)} seeds (standard deviation), %", _row("", METRICS)]
    for model in (FEDERATION, POOLED, *sites):
        cells = (values[model, metric] for metric in METRICS)
        lines.append(
            _row(model, [f"{100 * np.mean(c):.2f} ({100 * np.std(c, ddof=1):.2f})" for c in cells])
        )
    lines += ["", "paired difference (95 % interval), percentage points", _row("", METRICS)]
    leads: dict[tuple[str, str], Difference] = {}
    for other in (*sites, "best site", POOLED):
        for metric in METRICS:
            leads[other, metric] = Difference.of(values[FEDERATION, metric], values[other, metric])
        row = [str(leads[other, metric]) for metric in METRICS]
        lines.append(_row(f"federation - {other}", row))
    lines.append("")
    for metric in METRICS:
        short = [site for site in sites if not leads[site, metric].low > 0]
        verdict = f"NOT shown for {', '.join(short)}" if short else "shown"
        lines.append(f"federation above every single site on {metric}: {verdict}")
    shown = "shown" if leads[POOLED, "accuracy"].low >= -MARGIN else "NOT shown"
    lines.append(
        f"accuracy at most {100 * MARGIN:.0f} point below training on the pooled data: {shown}"
    )
    lines += [
        "",
        "The seeds split the same records again and again: the intervals say how much the result",
        "depends on split and training, not how it would be with other patients.",
    ]
    return "\n".join(lines)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<28}" + "".join(f"{cell:>26}" for cell in cells)


def _call(*command: object) -> None:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}\n{done.stdout}{done.stderr}")


def main(argv: list[str] | None = None) -> int:
    """Run all seeds and print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks seeds", description=__doc__)
    parser.add_argument("--federation", type=Path, default=Path("compose/breast-cancer"))
    parser.add_argument("--seeds", type=int, default=20, help="how many, at least 2")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args(argv)
    if options.seeds < 2:
        parser.error("a difference between seeds needs at least 2 of them")
    results = []
    for seed in range(options.first, options.first + options.seeds):
        start = time.monotonic()
        root = Path(tempfile.mkdtemp(prefix=f"seed-{seed}-"))
        results.append(run_seed(options.federation.resolve(), seed, root))
        shutil.rmtree(root)  # not after an error: the logs are in there
        accuracies = ", ".join(f"{m} {100 * n['accuracy']:.1f}" for m, n in results[-1].items())
        print(f"seed {seed}, {time.monotonic() - start:.0f} s, accuracy: {accuracies}", flush=True)
    print(f"\n{options.federation.name}: all sites' test sets, counts summed\n")
    print(describe(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
