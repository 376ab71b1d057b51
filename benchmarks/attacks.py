"""What does an attacker get, without protection and with it?

Sites train with their own code (the worker's, with the author's ``train`` in it); privacy, masks
and the sum are the real ones. Three attacks, each beside what guessing gives in the same run:

- membership inference on two example notebooks: one as it is, and one that is made to overfit;
- an audit of private training by canaries, which gives a lower bound on epsilon;
- gradient inversion of one step on a few images, from what the server has.

Seeds fix the attackers' choices, the data and the models; the noise is the operating system's.

    python -m benchmarks attacks [--models 10] [--canaries 1000] [--victims 3] [--quick]
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.privacy import audit, inversion, membership
from benchmarks.privacy.example import Example
from benchmarks.privacy.noise import settings_for

DELTA, CLIP = 1e-3, 1.0
EPSILONS = (8.0, 1.0)
AUDITED = (0.5, 1.0, 4.0, 8.0)
OVERFITTED = {"HIDDEN_UNITS": 512, "WEIGHT_DECAY": 0.0, "BATCH_SIZE": 32, "LEARNING_RATE": 0.05,
              "rounds": 2, "local_epochs": 100}  # fmt: skip
LARGE = {"BATCH_SIZE": 64}  # of private training: at these sites nearly all records
WIDE = {**LARGE, "LEARNING_RATE": 0.002}  # of the overfitted models: else nothing is left of them

Found = dict[str, object]


def infer_members(folder: Path, models: int) -> Found:
    """Print what membership inference gives; return the areas under the curves."""
    titles = ("model", "privacy", "attack", "from", "AUC", "by chance", "found, %", "at most, %",
              "advantage", "accuracy or R²")  # fmt: skip
    title = (
        f"membership inference: mean (deviation) over {models} models. By chance: AUC of other "
        "models' losses. Found: with 1 % false alarms, and the most that epsilon allows"
    )
    table = _table(title, titles)
    table.add_row("", "", "guessing", "", "0.500", "0.500", "1.0", "", "0.000", "")
    examples = {
        "breast cancer": Example.make(folder / "one", "breast-cancer"),
        "birth weight, overfit": Example.make(folder / "two", "birth-weight").varied(**OVERFITTED),
    }
    found: Found = {}
    for name, example in examples.items():
        for most in (None, *EPSILONS):
            how = example.varied(**(WIDE if "overfit" in name else LARGE)) if most else example
            private = how.private(most, DELTA, CLIP) if most else None
            trained = membership.train(how, range(models), private)
            bound = ""
            if trained.spent is not None:
                bound = f"{100 * membership.most_hits(trained.spent, DELTA):.0f}"
            for view, given in (("final model", trained.final), ("an update", trained.updates)):
                for attack, infer in (("loss", membership.by_loss),
                                      ("LiRA", membership.by_likelihood_ratio)):  # fmt: skip
                    each = infer(given)
                    cells = (
                        _spread([one.auc for one in each], ".3f"),
                        f"{membership.by_chance(given):.3f}",
                        _spread([100 * one.hits for one in each], ".1f"),
                        bound,
                        _spread([one.advantage for one in each], ".3f"),
                        _spread(trained.quality, ".3f"),
                    )
                    table.add_row(name, _privacy(trained.spent), attack, view, *cells)
                    auc = float(np.mean([one.auc for one in each]))
                    found[f"{name}, {_privacy(most)}, {attack}, {view}"] = round(auc, 3)
    Console(width=150).print(table)
    return found


def audit_training(folder: Path, canaries: int, runs: int) -> Found:
    """Print which epsilon an audit shows; return the bounds."""
    titles = ("trained", "privacy", "right guesses, %", "epsilon is above", "the claim")
    table = _table(f"audit by {canaries} canaries in one run: median of {runs} runs, and range",
                   titles)  # fmt: skip
    table.add_row("", "guessing", "50.0", "0", "")
    found: Found = {}

    def add(name: str, kind: str, once: Callable[[int], audit.Audit]) -> None:
        each = [once(seed) for seed in range(runs)]
        bounds = sorted(one.bound for one in each)
        shown = f"{np.median(bounds):.2f} ({bounds[0]:.2f} to {bounds[-1]:.2f})"
        claim = "none" if np.isinf(each[0].claim) else f"{each[0].claim:.2f}"
        right = 100 * np.mean([one.right for one in each])
        table.add_row(name, kind, f"{right:.1f}", shown, claim)
        found[f"{name}, {kind}"] = [round(bounds[-1], 3), claim]

    def worst(most: float | None, noisy: bool = True) -> Callable[[int], audit.Audit]:
        def once(seed: int) -> audit.Audit:
            private = audit.private(most, canaries, seed) if most else None
            if noisy:
                return audit.train(folder / "canaries", canaries, private, seed)
            with audit.without_noise():
                return audit.train(folder / "canaries", canaries, private, seed)

        return once

    add("a weight for each canary", "none", worst(None))
    add("a weight for each canary", "epsilon 1, its noise taken out", worst(1.0, noisy=False))
    for most in AUDITED:
        add("a weight for each canary", _privacy(most), worst(most))
    plain = Example.make(folder / "example", "breast-cancer")
    wide = plain.varied(**OVERFITTED)
    add("breast cancer", "none", partial(audit.train_example, plain, canaries, None))
    for most in (None, *EPSILONS):
        how = wide.varied(**WIDE) if most else wide
        once = partial(audit.train_example, how, canaries, most)
        add("breast cancer, overfitted", _privacy(most), once)
    Console(width=150).print(table)
    return found


def invert(folder: Path, victims: int) -> Found:
    """Print what gradient inversion gives; return the errors."""
    sites = len(inversion.SITES)
    titles = ("images at each site", "the server has", "error (MSE)", "PSNR, dB", "SSIM",
              "mean image: MSE", "SSIM")  # fmt: skip
    title = f"gradient inversion of one step: mean (deviation) of {victims} rounds of {sites} sites"
    table = _table(title, titles)
    found: Found = {}
    for images in (1, 8):
        seen: dict[str, list[tuple[inversion.Likeness, inversion.Likeness]]] = {}
        for seed in range(victims):
            one = inversion.Round(folder / f"{images}-{seed}", images, seed)
            masked, mean = one.masked()
            views = {"a site's update": one.plain(), "a site's masked update": masked,
                     f"the mean of {sites} sites": mean}  # fmt: skip
            for most in EPSILONS:
                private = settings_for(most, DELTA, CLIP, [(1.0, 1)])
                views[f"a site's update, {_privacy(most)}"] = one.plain(private)
            for name, view in views.items():
                guess = np.repeat(one.mean[None], len(view.images), 0)
                both = (one.invert(view), guess)
                pair = [inversion.Likeness.of(each, view.images) for each in both]
                seen.setdefault(name, []).append((pair[0], pair[1]))
        for name, pairs in seen.items():
            got, guessed = zip(*pairs, strict=True)
            cells = (
                _spread([each.error for each in got], ".4f"),
                _spread([each.decibels for each in got], ".1f"),
                _spread([each.structure for each in got], ".2f"),
                _spread([each.error for each in guessed], ".4f"),
                _spread([each.structure for each in guessed], ".2f"),
            )
            table.add_row(str(images), name, *cells)
            found[f"{images}, {name}"] = round(float(np.mean([each.error for each in got])), 5)
    Console(width=150).print(table)
    return found


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title)
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right")
    return table


def _privacy(epsilon: float | None) -> str:
    return "none" if epsilon is None else f"epsilon {epsilon:.3g}"


def _spread(values: Sequence[float], form: str) -> str:
    mean, deviation = np.mean(values), np.std(values, ddof=min(1, len(values) - 1))
    return f"{mean:{form}} ({deviation:{form}})"


def main(arguments: Sequence[str]) -> int:
    """Run the attacks and print the tables; 1 if an audit shows more than was claimed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks attacks", description=__doc__)
    parser.add_argument("--models", type=int, default=10, help="that membership is inferred of")
    parser.add_argument("--canaries", type=int, default=1000, help="of an audit")
    parser.add_argument("--victims", type=int, default=3, help="rounds that are inverted")
    parser.add_argument("--quick", action="store_true", help="less of all: to see that it works")
    options = parser.parse_args(arguments)
    if options.quick:
        options.models, options.canaries, options.victims = 4, 400, 1
    if options.models < 3:
        parser.error("the likelihood ratio needs three models at least")
    logging.getLogger("federator").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="attacks-") as made:
        root = Path(made)
        members = infer_members(root, options.models)
        bounds = audit_training(root, options.canaries, options.victims)
        images = invert(root, options.victims)
    told = {"members": members, "bounds": bounds, "images": images}
    print(json.dumps({"benchmark": "attacks", **told, "seconds": int(time.monotonic() - began)}))
    within = [bound <= float(claim) for name, (bound, claim) in bounds.items()
              if claim != "none" and "taken out" not in name]  # fmt: skip
    return 0 if all(within) else 1
