"""Rounds in the server's container, in a process of their own: begun, followed, and left.

Who follows reads the journal. That process writes it whether or not somebody does.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from federator.errors import Problem, RunError
from federator.runtime import files
from federator.runtime.control import schedule
from federator.runtime.control.runs import lines_after
from federator.runtime.control.server_paths import ServerPaths
from federator.runtime.protocol.signing.connection import SignerClient
from federator.runtime.protocol.signing.orders import RoundsOrder
from federator.runtime.server.journal import FILE, Line

_LOOK = 0.05  # seconds between two looks at a journal
_LOG = "rounds.log"


@dataclass(frozen=True)
class Followed:
    """Rounds that go on in another process.

    Attributes:
        paths: those of the server.
        order: that they are of.
        offset: where in its journal the first event to be told begins.
        is_alive: returns whether that process runs.
        last_words: returns what it said that no journal has.
    """

    paths: ServerPaths
    order: RoundsOrder
    offset: int
    is_alive: Callable[[], bool]
    last_words: Callable[[], str] = str

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.paths.runs / self.order.run

    def events(self) -> Generator[Line, None, None]:
        """Yield the events of the journal, as they are written, until the rounds end.

        Raises:
            RunError: if they end without a model.
        """
        offset, end, alive = self.offset, Line(), True
        while alive:
            alive = self.is_alive()  # before the look: what it wrote last is read, too
            for line, after in lines_after(self.folder / FILE, offset):
                event = json.loads(line)
                offset, end = after, event if event["event"] == "end" else end
                yield event
            if alive:
                time.sleep(_LOOK)
        if not end:
            name = self.paths.settings.federation
            hint = f"if the server was restarted, follow: federator rounds compose/{name} --follow"
            what = self.last_words() or "the rounds ended without a word: see the server's log"
            raise RunError(Problem(what, hint=hint))
        if end["state"] != "finished":
            raise RunError(str(end["reason"]))


def begin(paths: ServerPaths) -> Followed:
    """Begin with the rounds of the order that is open.

    Raises:
        RunError: if none is open, other rounds are running, or the signer does not answer.
    """
    order = schedule.ordered(paths).order
    folder = paths.runs / order.run
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    files.write(paths.order, json.dumps({"order": order.number}))
    log, offset = folder / "logs" / _LOG, _size(folder / FILE)
    said = _size(log)
    with log.open("ab") as out:  # the terminal may go: this process stays
        process = subprocess.Popen(
            ["federator", "rounds", "--unfinished"],  # by PATH, beside this Python
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if name != "GITHUB_ACTIONS"},
            start_new_session=True,
        )
    return Followed(
        paths,
        order,
        offset,
        lambda: process.poll() is None,
        lambda: log.read_bytes()[said:].decode(errors="replace").strip()[-2000:],
    )


def running(paths: ServerPaths) -> Followed:
    """Return the rounds that are running, from their beginning.

    Raises:
        RunError: if none are, or the signer does not answer.
    """
    order = SignerClient(paths.signer).order()
    if order is None or not schedule.is_running(paths):
        hint = f"begin: federator rounds compose/{paths.settings.federation} --rounds 3"
        raise RunError(Problem("no rounds are running", hint=hint))
    folder, offset, before = paths.runs / order.run, 0, 0
    for line, after in lines_after(folder / FILE, 0):
        offset = before if json.loads(line)["event"] == "start" else offset
        before = after
    return Followed(paths, order, offset, lambda: schedule.is_running(paths))


def leaving(paths: ServerPaths) -> str:
    """Return what is said to who stops following."""
    command = f"federator rounds compose/{paths.settings.federation}"
    return (
        "the rounds go on without this terminal\n"
        f"to follow them, on the server's machine:  {command} --follow\n"
        f"to stop them:                             {command} --stop"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
