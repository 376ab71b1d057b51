"""The server's own process: admits the sites whose keys are committed, and runs what is asked for.

It looks at the folder of keys again and again, so that a site that was added is admitted, and one
that was removed is locked out, while the server runs. Flower's SuperExec, which it starts, runs
the rounds; those that a crash cut short are taken up again.
"""

import logging
import subprocess
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from federator.errors import InputError, RunError
from federator.runtime.control.control_api import Admitted, Control, environment, start_superexec
from federator.runtime.control.retention import remove_old
from federator.runtime.control.runs import end_on_sigterm
from federator.runtime.control.schedule import unfinished
from federator.runtime.control.server_paths import (
    ServerPaths,
    add_path_options,
    server_paths,
)
from federator.runtime.control.telling import Teller
from federator.runtime.keys import expiry
from federator.runtime.keys.site_key import NOBODY, fingerprint, read_public
from federator.runtime.notify.outbox import Outbox
from federator.runtime.notify.settings import NotifySettings
from federator.runtime.options import Parser, begin_log
from federator.runtime.server.settings import ENVIRONMENT

log = logging.getLogger("federator")

_PATIENCE = 120.0  # seconds in which a SuperLink is up, also on a busy machine
_ASK_AGAIN = 60.0  # seconds; the SuperLink may have lost its list meanwhile
_SCRATCH = Path("/tmp/flwr")
_TIDY_EVERY = 3600.0  # seconds


class Register:
    """Keeps the SuperLink's list of keys as the folder has it.

    A key is locked out for good, so only when it was gone at two looks in a row, and never if
    all are gone: then a checkout went wrong, unless a file ``nobody`` says that this was meant.
    """

    def __init__(self, control: Control, folder: Path) -> None:
        self._control, self._folder = control, folder
        self._gone: set[int] = set()
        self._settled: dict[str, ec.EllipticCurvePublicKey] | None = None
        self._ask_at = 0.0
        self._told: set[str] = set()

    def look(self) -> None:
        """Admit and lock out what the folder has changed since the last look.

        Raises:
            RunError: if the SuperLink does not answer.
        """
        wanted, whole = self._read()
        if wanted == self._settled and time.monotonic() < self._ask_at:
            return
        admitted = self._control.admitted()
        if not wanted:
            self._tell_of_no_keys(len(admitted), whole)
        for name, key in wanted.items():
            if all(known.key != key for known in admitted):
                self._admit(name, key)
        gone = [known for known in admitted if whole and known.key not in wanted.values()]
        self._lock_out(gone)
        self._settled = None if self._gone else wanted
        self._ask_at = time.monotonic() + _ASK_AGAIN

    def _admit(self, name: str, key: ec.EllipticCurvePublicKey) -> None:
        try:
            self._control.admit(name, key)
            log.info("site %s is admitted with key %s", name, fingerprint(key))
        except RunError as error:
            self._tell(f"{error} (a key that was removed cannot come back: site {name} "
                       "has to make a new one)")  # fmt: skip

    def _lock_out(self, gone: Sequence[Admitted]) -> None:
        """Lock out the keys that were already gone at the last look; note the others."""
        for known in gone:
            if known.node_id in self._gone:
                self._control.lock_out(known.node_id)
                log.info("site %s is locked out: its key was removed", known.name)
        self._gone = {known.node_id for known in gone} - self._gone

    def _read(self) -> tuple[dict[str, ec.EllipticCurvePublicKey], bool]:
        """Return the folder's keys by site, and whether all of it could be read."""
        wanted = {}
        paths = sorted(self._folder.glob("*.pub"))
        whole = bool(paths) or (self._folder / NOBODY).exists()
        for path in paths:
            try:
                wanted[path.stem] = read_public(path)
            except InputError as error:
                whole = False
                self._tell(str(error))
        return wanted, whole

    def _tell_of_no_keys(self, admitted: int, whole: bool) -> None:
        """Say what it means that the folder has no key that can be read."""
        if whole and admitted:
            self._tell(f"{self._folder / NOBODY}: no site is admitted any more", logging.WARNING)
        elif admitted:
            self._tell(f"{self._folder}: no keys: is it the right folder? The {admitted} that "
                       "were admitted stay so", logging.WARNING)  # fmt: skip
        elif not any(self._folder.glob("*.pub")):
            self._tell(f"no site's key is in {self._folder} yet: waiting for the first one "
                       "(federator site add)", logging.INFO)  # fmt: skip

    def _tell(self, what: str, level: int = logging.ERROR) -> None:
        if what not in self._told:
            log.log(level, "%s", what)
            self._told.add(what)


def serve(paths: ServerPaths, secret: Path, every: float) -> int:
    """Serve until stopped, or until a part breaks; return the exit status."""
    paths.runs.mkdir(parents=True, exist_ok=True)
    control = _connect(paths)
    register = Register(control, paths.sites)
    register.look()
    env = environment(_SCRATCH, paths.superlink) | {ENVIRONMENT: str(paths.run_settings)}
    rounds = None
    superexec = start_superexec(paths.superlink, paths.certificate, secret, env)
    try:
        log.info("the server is up: rounds can be started")
        _tell_people(paths)
        if _went_down(paths):
            log.info("the server went down during rounds: resuming from the last checkpoint")
            command = ["federator", "rounds", "--unfinished"]  # by PATH, beside this Python
            rounds = subprocess.Popen(command, env=env | paths.environment)
        tidy_at = 0.0
        while superexec.is_alive():
            time.sleep(every)
            try:
                register.look()
            except RunError as error:
                log.warning("%s", error)
            if rounds is not None:
                rounds.poll()
            if time.monotonic() > tidy_at:
                tidy_at = time.monotonic() + _TIDY_EVERY
                _tidy(paths)
    finally:
        # Killed, not asked: a run that is cut short is taken up again, one that ends is not.
        if rounds is not None:
            rounds.kill()
            rounds.wait()
        superexec.kill()
        superexec.join()
    log.error("the SuperExec ended with status %s", superexec.exitcode)
    return 1


def _tell_people(paths: ServerPaths) -> None:
    """Log warnings of keys and certificates; tell those, and what happens in runs, to people."""
    look = partial(expiry.at_server, paths.coordinator_key, paths.gateway)
    settings = paths.settings
    told = NotifySettings.read(settings.notify)
    if not told.sinks:
        expiry.watch(look)
        return
    teller = Teller(
        paths.runs, Outbox(paths.outbox), told, settings.federation, settings.quorum,
        settings.publish_sites,
    )  # fmt: skip
    teller.start()
    expiry.watch(lambda: teller.warn(look()))


def _tidy(paths: ServerPaths) -> None:
    """Remove what is kept no longer."""
    settings = paths.settings
    try:
        remove_old(paths.runs, settings.checkpoints_kept, settings.results_kept)
    except OSError as error:
        log.error("what is kept no longer is not removed: %s", error)


def _went_down(paths: ServerPaths) -> bool:
    """Return whether the server went down during rounds whose order is still open."""
    try:
        return unfinished(paths) is not None
    except RunError as error:
        log.error("the rounds that were begun are not resumed: %s", error)
        return False


def _connect(paths: ServerPaths) -> Control:
    """Return the SuperLink's Control API, waiting for it to be up.

    Raises:
        RunError: if it is not up in time.
    """
    control = paths.control()
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            control.admitted()
            return control
        except RunError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def main(arguments: list[str] | None = None) -> int:
    """Admit the sites and run what is asked for, until stopped."""
    parser = Parser(prog="serve", description=main.__doc__)
    add_path_options(parser)
    add = parser.add_argument
    add("--secret", type=Path, default=Path("/run/federator/superexec.secret"),
        help="what SuperLink and SuperExec share")  # fmt: skip
    add("--every", type=float, default=3.0, help="seconds between looks at the keys")
    options = parser.parse_args(arguments)
    begin_log()
    end_on_sigterm()
    return serve(server_paths(options), options.secret, options.every)
