"""The Docker engine, through its command line, which also has the logins."""

import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from federator.errors import FederatorError, Problem


class EngineError(FederatorError):
    """Docker is missing, does not answer, or a command of it failed.

    Attributes:
        printed: the command's standard output.
    """

    printed = ""


def docker(*arguments: str, given: str = "") -> str:
    """Run a docker command and return its standard output.

    Args:
        arguments: the command's words after ``docker``.
        given: the text on its standard input.

    Raises:
        EngineError: if the command fails, with Docker's reason.
    """
    try:
        done = subprocess.run(["docker", *arguments], input=given, capture_output=True, text=True)
    except OSError as error:
        raise missing(error) from None
    if done.returncode:
        failed = _failed(arguments, done.stderr.splitlines())
        failed.printed = done.stdout
        raise failed
    return done.stdout.strip()


def show(*arguments: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
    """Run a long docker command and pass its output to standard error at once.

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
        raise missing(error) from None
    last: deque[str] = deque(maxlen=20)
    with process:
        for line in process.stdout or ():
            print(line, end="", file=sys.stderr)
            last.append(line)
    if process.returncode:
        raise _failed(arguments, last)


def has(image: str) -> bool:
    """Return whether the engine has an image of this name.

    Raises:
        EngineError: if the engine does not answer.
    """
    try:
        return bool(docker("image", "inspect", "--format={{.Id}}", image))
    except EngineError as error:
        if "no such image" in str(error).lower():
            return False
        raise


def missing(error: OSError) -> EngineError:
    """Return what to raise where Docker cannot be started."""
    hint = "install Docker Engine 20.10 or newer, or Docker Desktop"
    return EngineError(Problem(f"docker cannot be started: {error.strerror}", hint=hint))


_HINTS = {
    "Cannot connect to the Docker daemon": "start it, or name its socket in DOCKER_HOST",
    "permission denied while trying to connect": "this user may not use Docker: see its group",
    "is not a docker command": "install Docker's plugins buildx and compose",
    "unknown command: docker": "install Docker's plugins buildx and compose",
    "unknown flag: --file": "install Docker's plugins buildx and compose",
    "unknown shorthand flag: 'f' in -f": "install Docker's plugins buildx and compose",
    "No matching distribution found": "does build: in federation.yaml name the right index?",
    "no space left on device": "make room, for example with `docker system prune`",
    "no such host": "does this machine's name server know it, and does Docker use a proxy?",
    "manifest unknown": "it is not in the registry: run `federator build --push` again",
    "could not select device driver": "install NVIDIA's container toolkit, and restart Docker",
    "matching entries in passwd file": "give numbers, as in 10001:10001: the image knows no names",
    "bind source path does not exist": "make that folder, or correct its path in .env",
    "port is already allocated": "set PORT in .env to another, or end what has it: docker ps",
    "address already in use": "set PORT in .env to another, or end what has it",
    "denied": "run `docker login` as a user who may",
    "unauthorized": "run `docker login` as a user who may",
    "no basic auth credentials": "run `docker login` as a user who may",
}

# Lines that Docker prints besides the reason: where to read on; and after it, how to call it.
_ELSEWHERE = re.compile(
    r"(run|see) ['\"`].*--help['\"`]|for more (help|information)|learn more|view build details"
    r"|view a summary of image|-+$",
    re.IGNORECASE,
)
_AFTERWARDS = re.compile(r"usage:|what's next:|view build details", re.IGNORECASE)


def _failed(arguments: Sequence[str], said: Sequence[str]) -> EngineError:
    words = "\n".join(said)
    hint = next((todo for part, todo in _HINTS.items() if part in words), None)
    return EngineError(Problem(f"docker {arguments[0]} failed: {_reason(said)}", hint=hint))


def _reason(said: Sequence[str]) -> str:
    """Return the last line that gives a reason, before any lines of help."""
    told: list[str] = []
    for line in map(str.strip, said):
        if _AFTERWARDS.match(line) and told:
            break
        if line and not _ELSEWHERE.match(line):
            told.append(line)
    if told:
        return told[-1]
    return next((line.strip() for line in reversed(said) if line.strip()), "it printed nothing")
