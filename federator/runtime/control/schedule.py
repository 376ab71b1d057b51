"""Rounds in the running server: those that the coordinator ordered, followed, stopped, resumed.

The signer has the order. That the server has begun with it is noted until it is done: when the
server is started again after a crash, it goes on from the last checkpoint, in a new Flower run.
"""

import fcntl
import json
import logging
import os
import signal
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from federator.errors import Problem, RunError
from federator.runtime import files
from federator.runtime.app_config import Setting
from federator.runtime.control.runs import Follower
from federator.runtime.control.server_paths import ServerPaths
from federator.runtime.keys import expiry
from federator.runtime.protocol.signing.connection import SignerClient
from federator.runtime.protocol.signing.orders import RoundsOrder
from federator.runtime.server.journal import Line
from federator.runtime.server.storage.checkpoints import RunFolder

log = logging.getLogger("federator")

_LAST_WORDS = 8.0  # seconds that a server which is stopped has for its last words
_STARTING, _STOP_PATIENCE = 3.0, 60.0  # seconds
_LOCK = ".lock"
_LOOK = 3.0  # seconds between looks whether the order is open
_CLOSING = 5.0  # seconds to wait for a signer that is to be told of the end


@dataclass(frozen=True)
class ScheduledRounds:
    """Rounds to run: those of an order."""

    paths: ServerPaths
    order: RoundsOrder

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.paths.runs / self.order.run

    def events(self) -> Generator[Line, None, None]:
        """Run the remaining rounds, and yield the journal's events as they are written.

        Raises:
            RunError: if other rounds are running, or these end without a model.
        """
        paths = self.paths
        with _alone(paths.runs):
            files.write(paths.order, json.dumps({"order": self.order.number}))
            state = "failed"
            try:
                yield from self._events(paths, self.folder)
                state = "finished"
            except (KeyboardInterrupt, SystemExit, GeneratorExit):
                state = "stopped"
                raise
            finally:
                paths.order.unlink()
                self._close(paths, state)

    def _close(self, paths: ServerPaths, state: str) -> None:
        """Have nothing more signed of the order."""
        try:
            SignerClient(paths.signer, _CLOSING).close_order(self.order.number, state)
        except RunError as error:
            log.error("%s is not closed: %s", self.order, error)

    def _events(self, paths: ServerPaths, folder: Path) -> Iterator[Line]:
        control = paths.control()
        for old in control.going():
            with suppress(RunError):  # it may be about to end
                control.stop(old)
        self._write_settings(paths, folder)
        follower = Follower(folder)
        follower.run_id = control.start(paths.app, self._overrides(folder))
        signer = _OrderWatch(paths.signer, self.order)
        try:
            while not follower.ended:
                yield from follower.news()
                follower.check(control)
                signer.check()
        except (KeyboardInterrupt, SystemExit, GeneratorExit, _ClosedError) as error:
            with suppress(RunError):
                control.stop(follower.run_id)
                follower.wait(_LAST_WORDS)
            closed = isinstance(error, _ClosedError)
            follower.close("stopped", str(error) if closed else "the run was stopped")
            raise
        except RunError as error:
            follower.close("failed", str(error))
            raise

    def _write_settings(self, paths: ServerPaths, folder: Path) -> None:
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        first, terms = paths.first_model, self.order.terms
        source_map = paths.app.parent / "source-map.json"
        settings = paths.settings
        replace(
            settings,
            run=str(folder),
            baselines=terms.baselines,
            survey=terms.survey,
            encoding=terms.encoding,
            local_only=False,
            signer=str(paths.signer),
            store=str(paths.store),
            site_keys=str(paths.sites),
            by=self.order.by,
            warnings=expiry.told_at_server(paths.coordinator_key, paths.gateway),
            strategy_socket=str(paths.strategy_socket) if settings.strategy == "own" else None,
            initial_weights=str(first) if _is_file(first) else None,
            source_map=str(source_map) if source_map.exists() else None,
        ).write(paths.run_settings)

    def _overrides(self, folder: Path) -> Mapping[str, Setting]:
        last = RunFolder(folder).last()
        rounds = self.order.last_round - (last.round if last else 0)
        return {"rounds": max(0, rounds), "local-epochs": self.order.terms.epochs}


class _ClosedError(RunError):
    """The order was closed by somebody else: nothing more is signed of it."""


class _OrderWatch:
    """Looks now and then whether an order is still open."""

    def __init__(self, path: Path, order: RoundsOrder) -> None:
        self._signer, self._order = SignerClient(path, patience=0.0), order
        self._look_at = 0.0

    def check(self) -> None:
        """Look, unless the last look was within seconds.

        Raises:
            RunError: if the order is closed; not if the signer does not answer, which the run will
                notice itself.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _LOOK
        try:
            found = self._signer.order()
        except RunError as error:
            log.warning("%s", error)
            return
        if found is None or found.number != self._order.number:
            raise _ClosedError(f"{self._order} was stopped, or has lapsed")


def ordered(paths: ServerPaths) -> ScheduledRounds:
    """Return the rounds of the order that is open.

    Raises:
        RunError: if none is open, other rounds are running, or the signer does not answer.
    """
    with _alone(paths.runs):
        order = SignerClient(paths.signer).order()
    if order is None:
        name = paths.settings.federation
        give = f"federator rounds compose/{name} --rounds 3"
        raise RunError(Problem("no rounds are ordered", hint=f"give an order:  {give}"))
    return ScheduledRounds(paths, order)


def unfinished(paths: ServerPaths) -> ScheduledRounds | None:
    """Return what was being done when the server went down, if anything.

    Raises:
        RunError: if rounds are running, or the signer does not answer.
    """
    if not paths.order.exists():
        return None
    with _alone(paths.runs):
        order = SignerClient(paths.signer).order()
        try:
            begun = json.loads(paths.order.read_text())["order"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
    return ScheduledRounds(paths, order) if order is not None and order.number == begun else None


def stop(paths: ServerPaths) -> bool:
    """Stop the rounds that are running, or just starting, and wait for their end.

    Returns:
        Whether there were any.

    Raises:
        RunError: if they do not end.
    """
    began, told = time.monotonic(), 0
    while time.monotonic() < began + _STOP_PATIENCE:
        process = _who(paths.runs)
        # Who was about to begin them may have done so: then another process is starting.
        starting = told and paths.order.exists()
        if process is None and not starting and (told or time.monotonic() > began + _STARTING):
            return bool(told)
        if process not in (None, 0, told):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            told = process
        time.sleep(0.1)
    if _who(paths.runs) is None:
        return bool(told)
    raise RunError(f"the rounds do not end: see process {told} in this container")


def is_running(paths: ServerPaths) -> bool:
    """Return whether rounds are running, or just starting."""
    return _who(paths.runs) is not None


def _is_file(path: Path) -> bool:
    """Tell whether a path is a file: the author's code may have put anything else there."""
    return path.is_file() and not path.is_symlink()


@contextmanager
def _alone(runs: Path) -> Iterator[None]:
    """Hold the lock of a federation's runs, and note in it which process does.

    Raises:
        RunError: if somebody else does.
    """
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / _LOCK).open("a") as lock:
        for left in reversed(range(10)):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if not left:
                    command = f"federator rounds compose/{runs.name}"
                    hint = f"follow them: {command} --follow; or stop them: {command} --stop"
                    raise RunError(Problem("rounds are running", hint=hint)) from None
                time.sleep(0.02)  # somebody may only have looked who does
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _who(runs: Path) -> int | None:
    """Return the process that holds the lock, 0 if it has not noted itself yet; None if none."""
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / _LOCK).open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            return int(lock.read() or 0)
    return None
