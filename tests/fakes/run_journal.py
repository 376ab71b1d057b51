"""A journal to test its readers with. Its numbers are drawn at random: no model was trained."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

SITES = {"alder": (260, 65, 82), "birch": (90, 24, 30), "cedar": (38, 11, 14)}
BINS = 16


class Writer:
    """Appends events to a ``rounds.jsonl``, a second apart or ``after`` seconds."""

    def __init__(self, run: Path) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.path = run / "rounds.jsonl"
        self.time = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)

    def __call__(self, event: str, after: float = 1.0, **fields: object) -> None:
        """Write one line."""
        self.time += timedelta(seconds=after)
        line = {"event": event, "time": self.time.isoformat(timespec="milliseconds"), **fields}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def result(
    random: np.random.Generator, size: int, skill: float, labels: int = 2, bins: int | None = BINS
) -> dict[str, object]:
    """Draw what a site reports of a model that is right with probability ``skill``."""
    true = np.arange(size) * 5 // 8 % labels if size > 1 else np.zeros(size, int)
    right = random.random(size) < skill
    guess = np.where(right, true, (true + 1 + random.integers(0, labels - 1, size)) % labels)
    counts = np.zeros((labels, labels), int)
    np.add.at(counts, (true, guess), 1)
    found: dict[str, Any] = {
        "tables": {"confusion": counts.tolist()},
        "loss": round(float(1.1 - skill + random.normal(0, 0.01)), 4),
        "examples": size,
    }
    if bins and labels == 2:
        sure = random.beta(1.2, 1.6 + 2 * (guess != true), size)  # the wrong are less sure
        place = (np.where(guess == 1, 0.5 + sure / 2, 0.5 - sure / 2) * bins).astype(int)
        rows = [np.bincount(place[true == k], minlength=bins).tolist() for k in (0, 1)]
        found["tables"] |= {"scores.1": rows}
    return found


def write(
    run: Path,
    *,
    rounds: int = 12,
    sites: dict[str, tuple[int, int, int]] = SITES,
    labels: tuple[str, ...] = ("benign", "malignant"),
    baselines: bool = True,
    bins: int | None = BINS,
    tested: bool = True,
    end: str | None = "finished",
    reason: str | None = None,
    failing: tuple[str, int] | None = ("birch", 5),
    metrics: dict[str, float] | None = None,
    seed: int = 1,
) -> Path:
    """Write a run's journal into folder ``run`` and return the folder."""
    random, emit = np.random.default_rng(seed), Writer(run)
    skills = dict(zip(sites, np.linspace(0.93, 0.76, len(sites)), strict=True))

    def evaluate(event: str, model: str, number: int, best: float, part: int) -> None:
        skill = best - (best - 0.45) * np.exp(-number / 3)
        found = {
            site: result(random, size[part], skill, len(labels), bins)
            | ({"metrics": metrics} if metrics else {})
            for site, size in sites.items()
            if event == "test" or model in ("federation", site)
        }
        emit(event, 0.3, model=model, round=number, sites=found)

    emit(
        "start",
        run=run.name,
        federation="made-up",
        first_round=1,
        last_round=rounds,
        strategy="FedAvg",
        sites=list(sites),
        labels=list(labels),
        positive=labels[-1] if len(labels) == 2 else None,
        seed=seed,
        local_epochs=2,
        baselines=baselines,
        select="last",
        versions={"python": "3.11.7", "flwr": "1.42.0", "torch": "2.13.0", "federator": "0.1.0"},
        model_bytes=48_312,
    )
    for site, sizes in sites.items():
        sets = dict(zip(("trainset", "valset", "testset"), sizes, strict=True))
        emit("site", site=site, state="joined", reason=None, examples=sets)
    for model in ["federation", *(sites if baselines else ())]:
        best = 0.965 if model == "federation" else skills[model]
        evaluate("validation", model, 0, best, 1)
        for number in range(1, rounds + 1):
            did: dict[str, object] = {}
            for site, size in sites.items():
                if model == "federation" and (site, number) == failing:
                    did[site] = {"ok": False, "reason": "ValueError in task.py, line 31 (cell 5)"}
                elif model in ("federation", site):
                    spent = round(size[0] / 190 + float(random.gamma(3, 0.05)), 3)
                    did[site] = {"ok": True, "examples": size[0], "seconds": spent}
                    did[site] |= {"bytes_down": 49_000, "bytes_up": 49_412, "bytes_known": 0}
            spent = max(part.get("seconds", 0) for part in did.values()) + 0.4
            emit("round", spent, model=model, round=number, seconds=spent, sites=did)
            evaluate("validation", model, number, best, 1)
        if tested:
            evaluate("test", model, rounds, best, 2)
    if end:
        emit(
            "end", state=end, reason=reason, round=rounds, model_round=rounds, seconds=rounds * 2.1
        )
    return run


def change(run: Path, how: Callable[[dict], None], **only: object) -> None:
    """Change the events of a journal that have the values of ``only``."""
    path = run / "rounds.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        if only.items() <= event.items():
            how(event)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
