"""What leaves a hospital in a run of a shipped example, counted in the site's own record.

The table stands in docs/for-the-ethics-board.md; ``--write`` puts it there.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
PAGE = HERE / "docs" / "for-the-ethics-board.md"
BEGIN, END = "<!-- leaves -->\n", "<!-- /leaves -->\n"
NAME, SITE = "breast-cancer", "hospital-a"
_HEAD = "| what leaves | how often | numbers each time |\n| --- | --- | --- |\n"

Answer = dict[str, Any]


def run(root: Path, rounds: int) -> list[Answer]:
    """Run the example in a folder; return what its site's record has of answers."""
    for folder in ("notebooks", "compose"):
        shutil.copytree(HERE / folder, root / folder)
    script, data = root / "notebooks" / "breast_cancer_sites.py", root / "data" / NAME
    command = [str(Path(sys.executable).with_name("federator")), "run", f"compose/{NAME}"]
    for each in ([sys.executable, script, data], [*command, "--rounds", str(rounds)]):
        subprocess.run(each, cwd=root, check=True, stdout=subprocess.DEVNULL)
    (record,) = (root / "results" / NAME).glob(f"*/records/{SITE}/record.jsonl")
    lines = map(json.loads, record.read_text().splitlines())
    return [line for line in lines if line["event"] == "answer"]


def rows(answers: list[Answer]) -> Iterator[tuple[str, list[int]]]:
    """Yield what leaves, and of each answer with it how many numbers that is."""
    yield "sizes of the three sets", [len(one.get("examples", {})) for one in answers]
    weights = [one["weights"] for one in answers if "weights" in one]
    if weights:
        tensors = {one["tensors"] for one in weights}
        name = f"weights: the model's {tensors.pop()} tensors after training, 4 bytes a number"
        yield name, [one["bytes"] // 4 for one in weights]
    found = [one["evaluations"] for one in answers if "evaluations" in one]
    for part in ("train", "val", "test"):
        made = [one[part] for one in found if part in one]
        if made:
            yield f"loss on the set {part}", [1 for one in made if "loss" in one]
        for table in sorted({name for one in made for name in one.get("tables", {})}):
            counts = [one["tables"][table] for one in made if table in one.get("tables", {})]
            yield f"counts on the set {part}: `{table}`", [len(_numbers(one)) for one in counts]
        metrics = [len(one["metrics"]) for one in made if one.get("metrics")]
        yield f"declared metrics on the set {part}", metrics
    warned = [one["warnings"] for one in answers if "warnings" in one]
    yield "warnings: numbers in a text of a list", [len(_numbers(one)) for one in warned]
    surveys = [one["survey"] for one in answers if "survey" in one]
    if surveys:
        yield "survey: counts and rounded figures", [len(_numbers(one)) for one in surveys]


def table(answers: list[Answer]) -> str:
    """Return the page's table: by kind how often it left, and how many numbers at most."""
    lines = [
        f"| {what} | {len(sizes)} | {max(sizes)} |\n" for what, sizes in rows(answers) if sizes
    ]
    return _HEAD + "".join(lines)


def on_page() -> str:
    """Return the table that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


def _numbers(found: object) -> list[float]:
    """Return all numbers in nested lists and mappings."""
    if isinstance(found, dict):
        return [number for one in found.values() for number in _numbers(one)]
    if isinstance(found, list):
        return [number for one in found for number in _numbers(one)]
    return [found] if isinstance(found, int | float) else []


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks leaves", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table on the page")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="leaves-") as folder:
        counted = table(run(Path(folder), options.rounds))
    print(counted, end="")
    if options.write:
        text = PAGE.read_text()
        PAGE.write_text(text.replace(BEGIN + on_page() + END, BEGIN + counted + END))
