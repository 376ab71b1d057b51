"""Child processes that never outlive this process."""

import ctypes
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child(Protocol):
    """A child process, as ``subprocess.Popen`` has it."""

    pid: int

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; raises ``subprocess.TimeoutExpired``."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""


_FAMILY = "FEDERATOR_FAMILY"


def _children(family: str) -> list[int]:
    """Return this process's children, adopted ones included, with the family's variable set.

    The program that calls this library may have other children, which must not be ended.
    """
    mark = f"{_FAMILY}={family}".encode()
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in children if mark in _environment(Path("/proc", pid))]


def _started_by(pid: int) -> list[int]:
    """Return the processes below a process, that have not ended."""
    found = []
    with suppress(OSError):  # it may end meanwhile
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                found += [child, *_started_by(child)]
    return found


def _command(pid: int) -> list[str]:
    """Return the words of a process's command line; none of one that has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    return []


def _environment(process: Path) -> list[bytes]:
    """Return a process's environment; at its start a process has none for a moment."""
    with suppress(OSError):  # it may end meanwhile
        for _ in range(100):
            if environment := (process / "environ").read_bytes():
                return environment.split(b"\0")
            if "State:\tZ" in (process / "status").read_text():
                break
            time.sleep(0.01)
    return []


@dataclass
class Processes:
    """Starts processes, each with a log of its own, and ends all of them on leaving.

    Even if this process is killed: the kernel then ends its children (``PR_SET_PDEATHSIG``);
    and what those leave behind becomes its child (``PR_SET_CHILD_SUBREAPER``) and is ended too.

    Attributes:
        logs: folder of the logs, ``NAME.log``.
    """

    logs: Path
    grace: float = 5.0
    _running: dict[str, Child] = field(default_factory=dict)
    _started: dict[str, Callable[[int], Child]] = field(default_factory=dict)
    _family: str = field(default_factory=lambda: secrets.token_hex(8))

    def __enter__(self) -> "Processes":
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not leave processes behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stop()
        finally:
            signal.signal(signal.SIGINT, before)

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
    ) -> None:
        """Start a process; its output is appended to its log."""
        self.begin(name, partial(self._spawn, command, env, stdin))

    def _spawn(
        self, command: Sequence[str], env: Mapping[str, str], stdin: int, log: int
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=self.marked(env),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def marked(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return an environment by which what a process leaves behind is known for this one's."""
        return {**env, _FAMILY: self._family}

    def begin(self, name: str, how: Callable[[int], Child]) -> None:
        """Start a process in a way that is given the descriptor of its log."""
        self._started[name] = how
        with self.log(name).open("ab") as log:
            self._running[name] = how(log.fileno())

    def pid(self, name: str) -> int:
        """Return a process's number."""
        return self._running[name].pid

    def restart(self, name: str) -> None:
        """Start a process that ended again, as it was started."""
        self.begin(name, self._started[name])

    def ended(self, name: str) -> int | None:
        """Return a process's exit status, None while it runs."""
        return self._running[name].poll()

    def log(self, name: str) -> Path:
        """Return a process's log."""
        return self.logs / f"{name}.log"

    def tail(self, name: str, lines: int = 5) -> str:
        """Return the last lines of a process's log."""
        text = self.log(name).read_text(errors="replace")
        return "\n".join(text.strip().splitlines()[-lines:])

    def programs(self, name: str) -> set[str]:
        """Return which programs run below a process: those that it started, and so on."""
        # A script's name stands after its interpreter's.
        words = [_command(pid)[:2] for pid in _started_by(self.pid(name))]
        return {Path(word).name for command in words for word in command if word}

    def stop(self) -> None:
        """End all processes: terminate, then kill, then kill the orphans that they left."""
        for process in self._running.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + self.grace
        for process in self._running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()
        for _ in range(100):  # each pass may uncover children of those just ended
            orphans = _children(self._family)
            if not orphans:
                return
            for pid in orphans:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
