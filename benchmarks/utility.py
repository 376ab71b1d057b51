"""What is a model worth at an epsilon? Accuracy, or R², of two example notebooks by epsilon.

The federations of the notebooks run in one process, with the sites' own worker and the server's
mean, for each epsilon and seed, as their files say but for larger batches. The final model is
tested on all sites' test sets, without noise. Epsilon is that of a federation file: four fifths of
it are for training, as a site holds it.

    python -m benchmarks utility [--seeds 5] [--epsilon 0.5 1 2 4 8] [--draw FILE.svg]
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import jinja2
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmarks.privacy.example import HERE, Example, federate
from benchmarks.privacy.membership import Records
from federator.results.drawing import plots
from federator.results.drawing.plots import Point, Series
from federator.runtime.app_config import Setting
from federator.runtime.link.privacy.budget import EVALUATIONS
from federator.runtime.protocol.privacy.settings import PrivacySettings

DELTA, CLIP = 1e-3, 1.0
PRIVATE: dict[str, Setting] = {"BATCH_SIZE": 64}  # the larger, the less noise on a mean
FIGURES = {"breast-cancer": ("accuracy", "AUC"), "birth-weight": ("R²", "error, g")}
PAPER = "--soft: #666; --ink: #222; --grid: #ddd; --paper: #fff; font-family: sans-serif;"
NONE, LIKE = "none", "none, batches of 64"


def values(
    example: Example, records: Records, seed: int, private: PrivacySettings | None
) -> tuple[float, float]:
    """Return the two figures of an example's final model."""
    statistics, _ = records.measured(federate(example, seed, private).model)
    tested = records.inside(seed, "test")
    quality, some = records.quality(statistics, tested), statistics[tested]
    if example.name == "birth-weight":
        return quality, float(example.code().UNIT * np.abs(some).mean())
    truths = records.truths[tested]
    return quality, float(roc_auc_score(truths, np.where(truths == 1, some, -some)))


def measure(
    example: Example, epsilons: Sequence[float], seeds: Sequence[int]
) -> dict[str, list[tuple[float, float]]]:
    """Return the figures of each seed, by epsilon."""
    records, private = Records(example), example.varied(**PRIVATE)
    found = {
        NONE: [values(example, records, seed, None) for seed in seeds],
        LIKE: [values(private, records, seed, None) for seed in seeds],
    }
    for most in sorted(epsilons, reverse=True):
        settings = private.private(most * (1 - EVALUATIONS), DELTA, CLIP)
        found[f"{most:g} (noise {settings.noise:.1f})"] = [
            values(private, records, seed, settings) for seed in seeds
        ]
    return found


def draw(found: dict[str, dict[str, list[float]]], file: Path) -> None:
    """Draw the first figure of each example by epsilon, as a report does; dashed: no privacy."""
    lines = []
    for number, (name, means) in enumerate(found.items()):
        points = [(float(key.split()[0]), mean[0]) for key, mean in means.items() if key[0] != "n"]
        ends = [min(x for x, _ in points), max(x for x, _ in points)]
        title = f"{name}: {FIGURES[name][0]}"
        # A point far below all others would flatten them: R² has no lower end.
        curve = [Point(x, y if y >= 0 else None, f"{y:.3f}") for x, y in sorted(points)]
        without = [Point(x, means[NONE][0], "no privacy") for x in ends]
        lines += [Series(title, number, curve), Series(title, number, without, dashed=True)]
    chart = plots.chart("Worth by epsilon; dashed: without privacy", "epsilon", lines)
    templates = HERE / "component_templates"
    loader = jinja2.FileSystemLoader(templates)
    page = jinja2.Environment(loader=loader, trim_blocks=True, autoescape=True).from_string(
        '{% import "report/charts.html.j2" as charts with context %}{{ charts.draw(chart) }}'
    )
    svg = page.render(chart=chart, plots=plots).partition("<svg")[2].partition("</svg>")[0]
    palette = (templates / "report" / "palette.css").read_text()
    rules = (templates / "report" / "charts.css").read_text().splitlines()
    whole = [line for line in rules if line.endswith("}")]
    kept = [one for one in whole if one.startswith((".series", ".grid", ".c", "svg text"))]
    style = "\n".join((f"svg {{ {PAPER}\n{palette}}}", *kept))
    names = "".join(
        f'<text class="c{line.site}" x="{plots.WIDTH - plots.RIGHT}" y="{104 - 14 * line.site}" '
        f'text-anchor="end" style="fill: currentColor">{line.name}</text>'
        for line in lines[::2]
    )
    svg = svg.replace(" role", ' width="720" role', 1)
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg"{svg}{names}<style>{style}</style></svg>\n',
        "utf-8",
    )


def main(arguments: Sequence[str]) -> int:
    """Run everything, and print a table for each example."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks utility", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="of each epsilon, at least 2")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--epsilon", type=float, nargs="+", default=[0.5, 1, 2, 4, 8])
    parser.add_argument("--draw", type=Path, help="an SVG file to write")
    options = parser.parse_args(arguments)
    logging.getLogger("federator").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    began, seeds = time.monotonic(), range(options.first, options.first + options.seeds)
    found = {}
    with tempfile.TemporaryDirectory(prefix="utility-") as made:
        for name, titles in FIGURES.items():
            example = Example.make(Path(made) / name, name)
            found[name] = measure(example, options.epsilon, seeds)
            records = Records(example)
            sizes = [int(records.inside(0, "train", site=site).sum()) for site in example.sites]
            table = Table(
                title=f"{name}: {', '.join(map(str, sizes))} training records at the sites, delta "
                f"{DELTA:g}; mean (deviation) of {options.seeds} seeds"
            )
            for title in ("epsilon", *titles):
                table.add_column(title, justify="right" if title != "epsilon" else "left")
            form = (".3f", ".3f" if name == "breast-cancer" else ".0f")
            for key, each in found[name].items():
                pairs = zip(np.mean(each, axis=0), np.std(each, axis=0, ddof=1), form, strict=True)
                table.add_row(key, *(f"{mean:{f}} ({spread:{f}})" for mean, spread, f in pairs))
            Console(width=110).print(table)
    told = {
        name: {key: np.mean(each, axis=0).round(4).tolist() for key, each in rows.items()}
        for name, rows in found.items()
    }
    if options.draw:
        draw(told, options.draw)
    seconds = int(time.monotonic() - began)
    print(json.dumps({"benchmark": "utility", "means": told, "seconds": seconds}))
    return 0
