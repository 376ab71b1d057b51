"""Is the federation better than every site alone, and as good as training on the pooled data?

For each seed the sites' data are laid out anew (``<notebook>_sites.py --seed N``), the federation
runs for real with that seed (``federator run``, with baselines), and the worker's own code trains
the same first model on the pooled data for as many epochs. Each model is tested once on every
site's test set; its figures follow from the summed tables, as in the report: those that the task's
view names first.

    python -m benchmarks seeds [--federation compose/breast-cancer] [--seeds 20]
"""

import argparse
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_notebook
from ruamel.yaml import YAML
from scipy import stats

from federator.federation import schema
from federator.federation.schema import FILE, Federation
from federator.results import history
from federator.results.history import Journal
from federator.results.tasks.base import Column, View
from federator.runtime.app_config import app_config
from federator.runtime.protocol.evaluation import tables
from federator.runtime.protocol.evaluation.tables import Tables
from federator.runtime.protocol.instructions import FEDERATION, Instruction
from federator.runtime.weights import format
from federator.runtime.worker.trainer import Trainer

POOLED = "pooled"
MARGIN = 0.01  # of its value: by how much training on the pooled data may be better

Numbers = dict[str, dict[str, float]]  # model → metric → value


@dataclass(frozen=True)
class Difference:
    """By how much one model's figure is higher than another's, seed by seed."""

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
        return f"{self.mean:+.4g} ({self.low:+.4g} to {self.high:+.4g})"


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
    call_federator("run", folder)

    read = schema.read(folder)
    (run,) = (read.root / "results" / read.name).iterdir()
    return read, run


def run_seed(source: Path, seed: int, root: Path) -> tuple[View, Numbers]:
    """Return the task's view, and the headline figures of each model on all test sets together."""
    read, run = rehearse(source, seed, root, baselines=True)
    done = history.read(run)
    sums = {
        model: together.tables for model, test in done.tests.items() if (together := test.pooled())
    }
    app = read.root / "build" / read.name / "app"
    sites = [site.name for site in read.sites]
    sums[POOLED] = train_pooled(app, run, root / "data", sites)
    return done.view, {model: measure(done.view, found) for model, found in sums.items()}


def measure(view: View, sums: Tables) -> dict[str, float]:
    """Return the headline figures of a test.

    Raises:
        SystemExit: if one is undefined, or the task has none.
    """
    figures = view.figures(sums)
    numbers = {name: figures[name].value for name in view.headline}
    known = {name: value for name, value in numbers.items() if value is not None}
    if len(known) < max(1, len(numbers)):
        raise SystemExit(f"this comparison needs figures that are defined, not {numbers}")
    return known


def train_pooled(app: Path, run: Path, data: Path, sites: Sequence[str]) -> Tables:
    """Train on the pooled data from the run's first weights; return the sum of the sites' tests.

    The worker's own code does it, in one round of as many epochs as the federation had in all.
    """
    config = app_config(app)
    seed, later = int(config["seed"]), time.time() + 3600
    epochs = int(config["rounds"]) * int(config["local-epochs"])
    training = Instruction("train", 1, later, epochs=epochs, seed=seed)
    testing = Instruction("evaluate", 1, later, seed=seed, sets=("test",))
    with contextlib.redirect_stdout(io.StringIO()):
        first = format.load(run / "round-000.safetensors")
        _, trained = Trainer(app, config, data / POOLED, POOLED).follow(training, first)
        tested = [
            Trainer(app, config, data / site, site).follow(testing, trained)[0] for site in sites
        ]
    found = [outcome.evaluations["test"].tables for outcome in tested]
    return {name: tables.add(each[name] for each in found) for name in found[0]}


def describe(view: View, seeds: Sequence[Numbers]) -> str:
    """Return the tables of means and paired differences, and what they say."""
    metrics, titles = view.headline, [view.columns[name].title for name in view.headline]
    sites = [model for model in seeds[0] if model not in (FEDERATION, POOLED)]
    values = {
        (model, metric): [numbers[model][metric] for numbers in seeds]
        for model in seeds[0]
        for metric in metrics
    }
    # The best site of each seed by its test result: kinder to the single sites than any fixed one.
    for metric in metrics:
        best = min if view.columns[metric].better == "lower" else max
        values["best site", metric] = [best(n[site][metric] for site in sites) for n in seeds]
    lines = [f"mean over {len(seeds)} seeds (standard deviation)", _row("", titles)]
    for model in (FEDERATION, POOLED, *sites):
        cells = (values[model, metric] for metric in metrics)
        lines.append(_row(model, [f"{np.mean(c):.4g} ({np.std(c, ddof=1):.2g})" for c in cells]))
    lines += ["", "paired difference (95 % interval)", _row("", titles)]
    leads: dict[tuple[str, str], Difference] = {}
    for other in (*sites, "best site", POOLED):
        for metric in metrics:
            leads[other, metric] = Difference.of(values[FEDERATION, metric], values[other, metric])
        row = [str(leads[other, metric]) for metric in metrics]
        lines.append(_row(f"federation - {other}", row))
    lines.append("")
    for metric, title in zip(metrics, titles, strict=True):
        column = view.columns[metric]
        short = [site for site in sites if not least_lead(column, leads[site, metric]) > 0]
        verdict = f"NOT shown for {', '.join(short)}" if short else "shown"
        lines.append(f"federation better than every single site in {title}: {verdict}")
        allowed = MARGIN * abs(float(np.mean(values[POOLED, metric])))
        verdict = "shown" if least_lead(column, leads[POOLED, metric]) >= -allowed else "NOT shown"
        lines.append(f"at most {MARGIN:.0%} worse than pooled training in {title}: {verdict}")
    lines += [
        "",
        "The seeds split the same records again and again: the intervals say how much the result",
        "depends on split and training, not how it would be with other patients.",
    ]
    return "\n".join(lines)


def least_lead(column: Column, lead: Difference) -> float:
    """Return by how much the federation is better at least, by the end of the interval."""
    return -lead.high if column.better == "lower" else lead.low


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<28}" + "".join(f"{cell:>36}" for cell in cells)


def call_federator(*arguments: object) -> None:
    """Run a command of the command line; end with what it printed if it fails."""
    _call(Path(sys.executable).with_name("federator"), *arguments)


def run_notebook(name: str, code: str, sites: Iterable[str], settings: str, root: Path) -> Journal:
    """Run a federation of a notebook of one cell below a folder, and return its journal.

    Each site's data are in ``data/SITE`` there. ``settings`` is the rest of the federation file.
    """
    folder = root / "compose" / name
    folder.mkdir(parents=True)
    nbformat.write(new_notebook(cells=[new_code_cell(code)]), root / f"{name}.ipynb")
    listed = json.dumps([{"name": site, "data": str(root / "data" / site)} for site in sites])
    (folder / FILE).write_text(f"notebook: ../../{name}.ipynb\nsites: {listed}\n{settings}")
    call_federator("run", folder)
    (done,) = (root / "results" / name).glob("*/rounds.jsonl")
    return history.read(done.parent)


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
        view, numbers = run_seed(options.federation.resolve(), seed, root)
        shutil.rmtree(root)  # not after an error: the logs are in there
        results.append(numbers)
        first = view.headline[0]
        figures = ", ".join(f"{model} {found[first]:.4g}" for model, found in numbers.items())
        print(f"seed {seed}, {time.monotonic() - start:.0f} s, {first}: {figures}", flush=True)
    print(f"\n{options.federation.name}: all sites' test sets, tables summed\n")
    print(describe(view, results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
