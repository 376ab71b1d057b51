"""Run a benchmark by its name; after ``--save`` what it prints is kept in docs/measured/, too.

With ``--save=NAME`` it is kept under another name than the benchmark's.
"""

import importlib
import io
import os
import platform
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from datetime import date
from pathlib import Path

HERE = Path(__file__).parent
MEASURED = HERE.parent / "docs" / "measured"
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


class Copying(io.StringIO):
    """Passes on what is printed, and keeps a copy."""

    def write(self, text: str) -> int:
        """Pass a text on."""
        sys.__stdout__.write(text)
        return super().write(text)

    def flush(self) -> None:
        """Show what was passed on."""
        sys.__stdout__.flush()


def save(option: str, arguments: list[str], printed: str) -> None:
    """Write what a benchmark printed, and on what it ran."""
    name = option.partition("=")[2] or arguments[0]
    commit = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    version = subprocess.run(commit, capture_output=True, text=True).stdout.strip()
    MEASURED.mkdir(exist_ok=True)
    (MEASURED / f"{name}.md").write_text(
        f"`python -m benchmarks {option} {shlex.join(arguments)}`, {date.today()}, at {version}, "
        f"on {os.cpu_count()} cores ({platform.machine()}, Python {platform.python_version()}):\n\n"
        f"```\n{printed.strip()}\n```\n"
    )


def main(arguments: list[str]) -> int:
    keep = next((one for one in arguments[:1] if one.startswith("--save")), "")
    arguments = arguments[bool(keep) :]
    if not arguments or arguments[0] not in NAMES:
        print(
            f"usage: python -m benchmarks [--save[=NAME]] {{{','.join(NAMES)}}} …", file=sys.stderr
        )
        return 2
    benchmark = importlib.import_module(f"benchmarks.{arguments[0]}")
    if not keep:
        return int(benchmark.main(arguments[1:]) or 0)
    with redirect_stdout(Copying()) as copy:
        status = int(benchmark.main(arguments[1:]) or 0)
    if status == 0:
        save(keep, arguments, copy.getvalue())
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
