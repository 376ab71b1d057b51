"""A job of GitHub Actions, seen from inside: what it marks in its log, and its summary.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

import os
import sys
from pathlib import Path

from federator.common.text import fenced, page
from federator.errors import FederatorError, Problem


def is_running() -> bool:
    """Return whether this process is part of such a job."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotate(level: str, problem: Problem) -> None:
    """Mark a problem in the log, in one line whatever it says: as ``error`` or ``warning``."""
    text = str(problem).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level}::{text}", file=sys.stderr)


def fail(error: FederatorError) -> None:
    """Say in the log and in the summary what went wrong."""
    for problem in error.problems:
        annotate("error", problem)
    if "GITHUB_STEP_SUMMARY" in os.environ:  # not in a container that the job calls
        summarise(page("### Stopped", fenced(str(error))))


def summarise(markdown: str) -> None:
    """Add to the job's summary; where there is none, print beside a command's own output."""
    if path := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(path).open("a", encoding="utf-8") as summary:
            summary.write(f"{markdown}\n")
    else:
        print(markdown, file=sys.stderr)
