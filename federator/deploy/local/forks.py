"""Processes of a local run that are forked from one that has imported what they all need.

``import torch`` takes seconds of computing: for each site, and for the first model. So a fork
server (``python -m federator.deploy.local.forks MODULE …``) imports the modules once, and forks a
process for each request. That runs a command of ``python -m federator.runtime``, as a container
does, with an environment, a log and, if asked for, a confinement of its own. The server itself runs
none of the author's code.
"""

import argparse
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from federator.deploy.local.processes import Processes, die_with_parent
from federator.errors import RunError
from federator.runtime.__main__ import run
from federator.runtime.worker.sandbox.isolation import isolate

OF_WORKERS = (
    *("torch", "federator.runtime.worker.process"),
    "federator.runtime.worker.initial_model",
)
"""What is imported for processes that run the author's code."""

OF_LINKS = ("federator.runtime.link.process",)
"""What is imported for links."""

_MOST = 2**20  # bytes of a request: arguments and environment together are shorter on Linux
_TICK = 0.01  # seconds between looks at whether a process has ended


@dataclass(frozen=True)
class _Request:
    """What a process is to run.

    Attributes:
        arguments: those of ``python -m federator.runtime``.
        environment: its variables.
        confined: whether it has no network.
        read_only: folders that it then cannot write to.
    """

    arguments: list[str]
    environment: dict[str, str]
    confined: bool
    read_only: list[str]


@dataclass
class Forked:
    """A process that the fork server made, and left to this process as its child.

    It has the methods of ``subprocess.Popen`` that :class:`Processes` needs.
    """

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: if it has not after ``timeout`` seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_TICK)
        return status

    def terminate(self) -> None:
        """Ask it to end."""
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


class Forks:
    """A fork server, and the processes that it makes.

    Args:
        processes: those of the run, to which both belong.
        name: the server's own, and that of its log.
        modules: what it imports.
        env: its environment: what libraries read when they are imported counts for all processes.
    """

    def __init__(
        self, processes: Processes, name: str, modules: Iterable[str], env: Mapping[str, str]
    ) -> None:
        self._processes, self._name = processes, name
        command = [sys.executable, "-P", "-m", __name__, "--logs", str(processes.logs), *modules]
        self._server, its_end = socket.socketpair()
        with its_end:
            processes.start(name, command, env, its_end.fileno())
        self._pids = self._server.makefile()

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        env: Mapping[str, str],
        read_only: Iterable[Path] | None = None,
    ) -> None:
        """Start a process; its output is appended to its log.

        Args:
            name: the process's.
            arguments: those of ``python -m federator.runtime``.
            env: its environment.
            read_only: folders that it cannot write to; it has no network then, either. None: it is
                not confined.

        Raises:
            RunError: if the server has ended.
        """
        folders = [str(folder) for folder in read_only or ()]
        asked = _Request(
            list(arguments), self._processes.marked(env), read_only is not None, folders
        )
        self._processes.begin(name, partial(self._fork, json.dumps(asdict(asked)).encode()))

    def _fork(self, asked: bytes, log: int) -> Forked:
        pid = ""
        with suppress(OSError):  # it has ended
            sent = socket.send_fds(self._server, [asked + b"\n"], [log])
            self._server.sendall(asked[sent:] + b"\n" if sent <= len(asked) else b"")
            pid = self._pids.readline()
        if not pid:
            said = self._processes.tail(self._name)
            raise RunError(f"the process {self._name} ended:\n{said}")
        return Forked(int(pid))


def _receive(requests: socket.socket) -> tuple[_Request, int] | None:
    """Return the next request, and the descriptor of its log; None if there is none any more."""
    text, descriptors = b"", list[int]()
    while not text.endswith(b"\n"):
        more, found, _, _ = socket.recv_fds(requests, _MOST, 1)
        if not more:
            return None
        text, descriptors = text + more, descriptors + found
    return _Request(**json.loads(text)), descriptors[0]


def _adopted(middle: int, parent: int) -> None:
    """Wait until this process is a child of the one that asked for it, and end with that."""
    while os.getppid() == middle:
        time.sleep(0.001)
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)  # it has ended


def _become(asked: _Request, log: int) -> int:
    """Run what was asked for in this process; return its exit status."""
    os.setsid()
    for output in (1, 2):
        os.dup2(log, output)
    os.close(log)
    os.environ.clear()
    os.environ.update(asked.environment)
    time.tzset()
    tempfile.tempdir = None  # it was chosen by the server's environment
    if asked.confined:
        isolate([Path(folder).resolve() for folder in asked.read_only])
    sys.argv = ["federator.runtime", *asked.arguments]
    return run()


def main(arguments: list[str] | None = None) -> int:
    """Import modules, and fork a process for each request on standard input."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--logs", required=True, help="the run's: lists of processes show whose")
    parser.add_argument("modules", nargs="+", metavar="MODULE")
    options = parser.parse_args(arguments)
    parent, requests = os.getppid(), socket.socket(fileno=os.dup(0))
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for module in options.modules:
        importlib.import_module(module)
    while (received := _receive(requests)) is not None:
        asked, log = received
        if os.fork() == 0:
            middle = os.getpid()
            if os.fork() != 0:
                os._exit(0)  # its child is then the run's, which waits for its exit status
            _adopted(middle, parent)
            requests.sendall(f"{os.getpid()}\n".encode())
            requests.close()
            return _become(asked, log)
        os.close(log)
        os.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
