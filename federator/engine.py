"""The Docker engine, by its command line: every version has that, and it knows the logins."""

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from federator.errors import FederatorError, Problem


class EngineError(FederatorError):
    """Docker is missing, does not answer, or failed at what it was told."""


def docker(*arguments: str, given: str = "") -> str:
    """Run a docker command and return what it prints; it reads what is given.

    Raises:
        EngineError: if the command fails, with its last words.
    """
    try:
        done = subprocess.run(["docker", *arguments], input=given, capture_output=True, text=True)
    except OSError as error:
        raise _missing(error) from None
    if done.returncode:
        raise _failed(arguments, done.stderr.splitlines())
    return done.stdout.strip()


def show(*arguments: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a docker command that takes its time: what it prints goes to standard error at once.

    Raises:
        EngineError: if the command fails.
    """
    try:
        process = subprocess.Popen(
            ["docker", *arguments],
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise _missing(error) from None
    last: deque[str] = deque(maxlen=20)
    with process:
        for line in process.stdout or ():
            print(line, end="", file=sys.stderr)
            last.append(line)
    if process.returncode:
        raise _failed(arguments, last)


def has(image: str) -> bool:
    """Return whether the engine keeps an image of this name.

    Raises:
        EngineError: if the engine does not answer.
    """
    try:
        return bool(docker("image", "inspect", "--format={{.Id}}", image))
    except EngineError as error:
        if "no such image" in str(error).lower():
            return False
        raise


def _missing(error: OSError) -> EngineError:
    hint = "install Docker Engine 20.10 or newer, or Docker Desktop"
    return EngineError(Problem(f"docker cannot be started: {error.strerror}", hint=hint))


_HINTS = {
    "Cannot connect to the Docker daemon": "start it, or name its socket in DOCKER_HOST",
    "permission denied while trying to connect": "this user may not use Docker: see its group",
    "is not a docker command": "install Docker's plugins buildx and compose",
    "unknown flag: --file": "install Docker's plugins buildx and compose",
    "No matching distribution found": "does build: in federation.yaml name the right index?",
    "no space left on device": "make room, for example with `docker system prune`",
    "denied": "run `docker login` as a user who may",
    "unauthorized": "run `docker login` as a user who may",
    "no basic auth credentials": "run `docker login` as a user who may",
}


def _failed(arguments: Sequence[str], said: Sequence[str]) -> EngineError:
    words = "\n".join(said)
    hint = next((todo for part, todo in _HINTS.items() if part in words), None)
    last = next((line.strip() for line in reversed(said) if line.strip()), "it said nothing")
    return EngineError(Problem(f"docker {arguments[0]} failed: {last}", hint=hint))
