"""Git, by its command line."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from federator.errors import FederatorError, Problem


class GitError(FederatorError):
    """Git is missing, or a command of it failed."""


def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run git in a folder and return what it prints.

    Raises:
        GitError: if it fails, with its output.
    """
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env={**os.environ, "LC_ALL": "C", **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
    except OSError as error:
        raise GitError(Problem(f"git cannot be started: {error.strerror}")) from None
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        raise GitError(Problem(f"git {arguments[0]} failed: {said}"))
    return done.stdout


def ask(folder: Path, *arguments: str) -> str:
    """Return git's output for a folder; an empty text if git fails."""
    try:
        return run(folder, *arguments).strip()
    except GitError:
        return ""
