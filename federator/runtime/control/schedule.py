"""Rounds in the running server: started from the last global model, followed, stopped, resumed.

What was asked for is noted until it is done. When the server is started again after a crash, it
goes on from the last checkpoint, in a new Flower run.
"""

import argparse
import fcntl
import json
import os
import signal
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from federator.errors import InputError, RunError
from federator.runtime import files
from federator.runtime.app_config import Setting, app_config
from federator.runtime.control.control_api import Control
from federator.runtime.control.runs import (
    Follower,
    folders,
    had_baselines,
    new_folder,
    rounds_to_go,
)
from federator.runtime.keys import expiry
from federator.runtime.options import PREFIX, Parser, file
from federator.runtime.server.journal import Line
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.storage.checkpoints import RunFolder

_LAST_WORDS = 8.0  # seconds that a server which is stopped has for its last words
_STARTING, _STOP_PATIENCE = 3.0, 60.0  # seconds
_LOCK = ".lock"


@dataclass(frozen=True)
class ServerPaths:
    """Where things are in the server's container.

    Attributes:
        superlink: ``host:port`` of the SuperLink.
        certificate: what it shows (PEM).
        app: folder of the Flower App.
        federation: JSON file with the federation's part of the server's settings.
        signing_key: the coordinator's key.
        results: folder of all results, on a volume.
        store: folder of weights on their way, on a volume that the gateway serves.
        gateway: ``host:port`` of the gateway, to see what it shows the sites; empty for none.
        coordinator_key: the coordinator's public keys, as the sites' files name them.
    """

    superlink: str
    certificate: Path
    app: Path
    federation: Path
    signing_key: Path
    results: Path
    store: Path
    gateway: str = ""
    coordinator_key: str = ""

    @property
    def settings(self) -> ServerSettings:
        """What the federation file says, as the compose file brings it.

        Raises:
            InputError: if it cannot be read.
        """
        try:
            read = json.loads(self.federation.read_text())
            return ServerSettings(**{"run": "", **read, "sites": tuple(read["sites"])})
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{self.federation}: not a server's settings: {error}") from None

    @property
    def runs(self) -> Path:
        """The folder of this federation's runs."""
        return self.results / self.settings.federation

    @property
    def run_settings(self) -> Path:
        """The settings of the run that is going on, which the ServerApp reads."""
        return self.runs / "server.json"

    @property
    def order(self) -> Path:
        """The note of what was asked for and is not done."""
        return self.runs / "unfinished.json"

    def fetching(self, run: str) -> str:
        """Return the command that copies a run out of this container, for the repository's root."""
        name = self.settings.federation
        return f"docker compose -f compose/{name}/server.yaml cp server:{self.runs / run} {run}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment that says the same."""
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in asdict(self).items()}

    def control(self) -> Control:
        """Return the SuperLink's Control API."""
        return Control(self.superlink, self.certificate)


@dataclass(frozen=True)
class ScheduledRounds:
    """Rounds to run, in one folder.

    Attributes:
        run: the folder's name.
        last_round: the round to reach.
        epochs: local epochs in a round; None for those of the app.
        baselines: whether each site is also trained alone.
        survey_only: whether the sites only tell of their data, and no round is run.
    """

    run: str
    last_round: int
    epochs: int | None
    baselines: bool
    survey_only: bool = False

    def events(self, paths: ServerPaths) -> Generator[Line, None, None]:
        """Run the remaining rounds, and yield the journal's events as they are written.

        Raises:
            RunError: if other rounds are running, or these end without a model.
        """
        with _alone(paths.runs):
            files.write(paths.order, json.dumps(asdict(self)))
            try:
                yield from self._events(paths, paths.runs / self.run)
            finally:
                paths.order.unlink()

    def _events(self, paths: ServerPaths, folder: Path) -> Iterator[Line]:
        control = paths.control()
        for old in control.going():
            with suppress(RunError):  # it may be about to end
                control.stop(old)
        self._write_settings(paths, folder)
        follower = Follower(folder)
        follower.run_id = control.start(paths.app, self._overrides(folder))
        try:
            while not follower.ended:
                yield from follower.news()
                follower.check(control)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            with suppress(RunError):
                control.stop(follower.run_id)
                follower.wait(_LAST_WORDS)
            follower.close("stopped", "the run was stopped")
            raise
        except RunError as error:
            follower.close("failed", str(error))
            raise

    def _write_settings(self, paths: ServerPaths, folder: Path) -> None:
        first = paths.runs / "initial.safetensors"
        source_map = paths.app.parent / "source-map.json"
        settings = paths.settings
        replace(
            settings,
            run=str(folder),
            baselines=self.baselines,
            survey="only" if self.survey_only else settings.survey,
            local_only=False,
            signing_key=str(paths.signing_key),
            store=str(paths.store),
            warnings=expiry.told_at_server(paths.coordinator_key, paths.gateway),
            initial_weights=str(first) if first.exists() else None,
            source_map=str(source_map) if source_map.exists() else None,
        ).write(paths.run_settings)

    def _overrides(self, folder: Path) -> Mapping[str, Setting]:
        last = RunFolder(folder).last()
        rounds = self.last_round - (last.round if last else 0)
        return {"rounds": rounds} | ({"local-epochs": self.epochs} if self.epochs else {})


def plan(
    paths: ServerPaths,
    rounds: int | None = None,
    epochs: int | None = None,
    fresh: bool = False,
    baselines: bool | None = None,
    survey_only: bool = False,
) -> ScheduledRounds:
    """Return what the command line asks for: a new run, or more rounds of the last one.

    A survey has a folder of its own. Without ``rounds``, those of the app: to finish them, or as
    many again. Without ``baselines``, what the federation file says, or what the run that is gone
    on with had.

    Raises:
        RunError: if other rounds are running.
    """
    with _alone(paths.runs):
        earlier = [] if fresh or survey_only else folders(paths.runs)
        folder = earlier[-1] if earlier else new_folder(paths.runs)
    if rounds is None:
        rounds = rounds_to_go(folder, int(app_config(paths.app)["rounds"]))
    last = RunFolder(folder).last()
    wanted = paths.settings.baselines or had_baselines(folder) if baselines is None else baselines
    last_round = rounds + (last.round if last else 0)
    return ScheduledRounds(folder.name, last_round, epochs, wanted, survey_only)


def unfinished(paths: ServerPaths) -> ScheduledRounds | None:
    """Return what was being done when the server went down, if anything."""
    try:
        with _alone(paths.runs):
            return ScheduledRounds(**json.loads(paths.order.read_text()))
    except (RunError, OSError, ValueError, TypeError):
        return None


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
        if process is None and (told or time.monotonic() > began + _STARTING):
            return bool(told)
        if process not in (None, 0, told):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
            told = process
        time.sleep(0.1)
    raise RunError(f"the rounds do not end: see process {told} in this container")


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
                    raise RunError(
                        "rounds are running: wait for their end, or stop them with Ctrl-C where "
                        "they were started, or with: federator rounds --stop"
                    ) from None
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


def add_path_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where things are; their defaults are those of the image."""
    add = parser.add_argument
    add("--superlink", default="superlink:8000", help="host:port of the SuperLink")
    add("--certificate", type=Path, default=Path("/run/federator/superlink.crt"), help="its own")
    add("--app", type=Path, default=Path("/app"), help="folder of the Flower App")
    add("--federation", type=file, default=Path("/run/federator/federation.json"),
        help="the server's settings, or their file")  # fmt: skip
    add("--signing-key", type=Path, default=Path("/run/federator/coordinator.key"),
        help="the coordinator's key")  # fmt: skip
    add("--results", type=Path, default=Path("/results"), help="folder of all results")
    add("--store", type=Path, default=Path("/store"), help="folder of weights on their way")
    add("--gateway", default="gateway:8443", help="host:port of the gateway")
    add("--coordinator-key", default="", help="the coordinator's public keys")


def server_paths(options: argparse.Namespace | None = None) -> ServerPaths:
    """Return what those options say; without them, what the environment says."""
    if options is None:
        parser = Parser()
        add_path_options(parser)
        options = parser.parse_args([])
    names = [field.name for field in fields(ServerPaths)]
    return ServerPaths(**{name: getattr(options, name) for name in names})
