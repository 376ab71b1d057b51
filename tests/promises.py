"""The promises of the threat model, and the tests behind them.

``make promises`` runs exactly those tests and fails if one fails, is missing, or is skipped: a
promise of which nothing was shown is not kept.
"""

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "threat-model.md"
_HEADS = frozenset({"shown by", "test"})


@dataclass(frozen=True)
class Promise:
    """A row of a table whose last column names tests.

    Attributes:
        text: what is promised: the row's first cell.
        tests: node identifiers as pytest takes them: of a function, or of a file or folder.
        unknown: names of tests that are nowhere.
    """

    text: str
    tests: tuple[str, ...]
    unknown: tuple[str, ...]


def functions() -> dict[str, tuple[str, ...]]:
    """Return the node identifiers of all tests by the function's name."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                place = f"{file.relative_to(ROOT).as_posix()}::{node.name}"
                found.setdefault(node.name, []).append(place)
    return {name: tuple(places) for name, places in found.items()}


def promises(text: str) -> list[Promise]:
    """Return the promises of a page: each row of each table that ends in a column of tests."""
    known, found, inside = functions(), [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[-1].lower() in _HEADS:
            inside = True
        elif inside and set(line) - set("|-: "):
            found.append(_promise(cells[0], cells[-1], known))
    return found


def _promise(text: str, cell: str, known: dict[str, tuple[str, ...]]) -> Promise:
    names = re.findall(r"`(test_\w+)`", cell)
    files = [file for file in re.findall(r"`(tests/[\w./]+)`", cell) if (ROOT / file).exists()]
    # A file beside the names of its functions says where they are.
    places = [place for name in names for place in known.get(name, ())] or files
    unknown = tuple(name for name in names if name not in known)
    return Promise(text, tuple(dict.fromkeys(places)), unknown)


class _Skipped:
    """Notes which tests were skipped, and why."""

    def __init__(self) -> None:
        self.tests: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            self.tests[report.nodeid] = why


def main(arguments: list[str]) -> int:
    """Run the tests behind the promises; 0 if all of them ran and passed."""
    made = promises(PAGE.read_text())
    bare = [one.text for one in made if not one.tests or one.unknown]
    for text in bare:
        print(f"no test stands behind: {text}", file=sys.stderr)
    tests = dict.fromkeys(test for one in made for test in one.tests)
    watch = _Skipped()
    status = pytest.main(["-q", *arguments, *tests], plugins=[watch])
    for test, why in watch.tests.items():
        print(f"not shown on this machine: {test}: {why}", file=sys.stderr)
    print(f"{len(made)} promises, {len(tests)} tests behind them")
    return 1 if bare or watch.tests or status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
