"""A federation as processes on this machine, without Docker, for the author.

It starts a stock SuperLink, and for each site a link and a worker with that site's data folder.
They are the same programs, with the same Flower App, that run in containers at hospitals.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path

from federator.app.convert import Components
from federator.deploy.local import (
    first_model,
    signer,
    site_data,
    site_records,
    unlisted_imports,
    workers,
)
from federator.deploy.local.forks import OF_LINKS, OF_WORKERS, Forks
from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import environment, free_port, wait_for
from federator.deploy.local.supervision import ServerParts
from federator.deploy.local.tracebacks import Exceptions
from federator.errors import FederatorError, Problem, RunError
from federator.federation import settings, sums
from federator.federation.parts import Site
from federator.federation.schema import Federation
from federator.runtime.app_config import app_config
from federator.runtime.control import control_api
from federator.runtime.control.control_api import Control
from federator.runtime.control.runs import (
    Follower,
    had_baselines,
    last_folder,
    new_folder,
    rounds_to_go,
)
from federator.runtime.flower import app_hash
from federator.runtime.protocol.signing.orders import RoundsOrder, worst_case
from federator.runtime.server.journal import End, Line, SiteState, append, has_ended, now
from federator.runtime.server.settings import ENVIRONMENT, ServerSettings
from federator.runtime.server.storage.checkpoints import RunFolder
from federator.runtime.server.storage.store import STORE
from federator.runtime.worker.sandbox import isolation
from federator.runtime.worker.sandbox.import_trace import Asked

# Linux limits a Unix socket's path to 107 bytes (unix(7)). What is subtracted are the names below
# the folder: a site's name, or a worker's temporary folder with the sockets of multiprocessing.
_LONGEST = 107 - max(len("/") + 40, len("/site-01234567/pymp-01234567/listener-01234567"))
_STARTING = 24 * 3600.0  # seconds that the first model and the baselines' evaluations may take
_NOT_CONFINED = "kernel or container forbid namespaces: what passes here may fail at a hospital"


@dataclass(frozen=True)
class LocalRun:
    """A run of a federation on this machine.

    Attributes:
        federation: the federation file.
        components: the converted notebook.
        folder: the run's folder; a run with checkpoints there continues from the last one.
        rounds: the number of rounds to run now.
        baselines: whether each site is also trained alone.
        survey_only: whether the sites only tell of their data, and no round is run.
        imported: the modules that the sites' workers imported in the run, and who asked for each.
    """

    federation: Federation
    components: Components
    folder: Path
    rounds: int
    baselines: bool
    survey_only: bool = False
    imported: dict[str, Asked] = field(default_factory=dict)

    def afterthoughts(self) -> list[Problem]:
        """Return warnings, known after the run, of what will differ at a hospital."""
        return unlisted_imports.doubtful(self.imported, self.components.client_requirements)

    def doubts(self) -> Iterator[Problem]:
        """Yield warnings, known before the run, of what will differ at a hospital."""
        for site in self.federation.sites:
            if links := self._links[site.name]:
                yield site_data.describe(site, links)
        network, folders = self._confined
        if not (network and folders):
            what = "leave the network" if folders else "have its data read-only"
            yield Problem(f"this machine does not let a process {what}", hint=_NOT_CONFINED)

    @cached_property
    def _links(self) -> Mapping[str, Mapping[Path, Path]]:
        """By site, the links that lead out of its data folder."""
        folders = {site.name: site.data for site in self.federation.sites}
        return {name: site_data.links_out(path) if path else {} for name, path in folders.items()}

    @cached_property
    def _confined(self) -> tuple[bool, bool]:
        """Whether workers have no network, and their data read-only."""
        return isolation.probe(self.components.app)

    def events(self) -> Generator[Line, None, None]:
        """Run the federation, and yield the journal's events as they are written.

        Raises:
            RunError: if it ends without a model, or wrote into the data, with the reason.
            InputError: if the weights to start from are not the model's.
        """
        unguarded = () if self._confined[1] else self.federation.sites
        with (
            tempfile.TemporaryDirectory(prefix="federator-") as scratch,
            Processes(self.folder / "logs") as processes,
        ):
            try:
                with site_data.left_unchanged(unguarded):
                    yield from self._run(Path(scratch), processes)
            except (KeyboardInterrupt, SystemExit, GeneratorExit):
                # Before its parts are ended: as they are, the run may say that it failed.
                ended = has_ended(self.folder)
                processes.stop()
                self._end(ended, "stopped", "stopped by hand")
                raise
            except FederatorError as error:
                processes.stop()
                # Without the hints: the report, which is made of it, may be sent around.
                reason = "\n".join(str(replace(one, hint=None)) for one in error.problems)
                self._end(has_ended(self.folder), "failed", reason)
                raise
            finally:
                self.imported.update(unlisted_imports.read(Path(scratch)))
                shutil.rmtree(self._store, ignore_errors=True)

    def _end(self, ended: bool, state: str, reason: str) -> None:
        """Record how the run ended, if the ServerApp has not done so; its parts have stopped."""
        if not ended:
            append(self.folder, End(time=now(), state=state, reason=reason, seconds=0.0))

    def _run(self, scratch: Path, processes: Processes) -> Iterator[Line]:
        if len(os.fsencode(scratch)) > _LONGEST:
            raise RunError(f"{scratch} is too long a path for sockets: set TMPDIR to a shorter one")
        control_api.require_programs()
        env = environment(scratch)
        threads = max(1, (os.cpu_count() or 1) // len(self.federation.sites))
        confined = partial(workers.environment, os.environ, scratch, threads)
        authors = Forks(processes, "workers", OF_WORKERS, confined(cuda=True))
        port = free_port()
        superlink = f"127.0.0.1:{port}"
        processes.start(
            "superlink",
            [
                control_api.program("flower-superlink"),
                *("--insecure", "--host", "127.0.0.1", "--port", str(port)),
                "--disable-runtime-dependency-installation",
            ],
            env | {ENVIRONMENT: str(scratch / "server.json")},
        )
        signer.start(self.order, scratch, processes, env)
        links = Forks(processes, "links", OF_LINKS, env)
        # While the SuperLink and the signer start.
        self._write_settings(scratch, processes, authors, env)
        public = signer.public_key(scratch, processes)
        wait_for(f"http://{superlink}/health", processes)
        for site in self.federation.sites:
            arguments = self._link(site, superlink, public, scratch)
            links.start(f"{site.name}.link", arguments, env | settings.link(self.federation, site))
            app, socket = self.components.app, scratch / site.name
            authors.start(
                f"{site.name}.worker",
                workers.arguments(site, app, socket, self._personal / site.name),
                confined(cuda=site.accelerator == "cuda"),
                workers.read_only(site, app, self._links[site.name].values()),
            )
        workers.start_strategy(self.federation, self.components.app, scratch, processes)
        control, follower = Control(superlink, None), Follower(self.folder)
        parts = ServerParts(processes)
        follower.run_id = control.start(self.components.app, {"rounds": self.rounds})
        exceptions = Exceptions(self.folder / "logs", [site.name for site in self.federation.sites])
        while not follower.ended:
            for event in follower.news():
                yield event
                yield from exceptions.news()
            self._look_after(processes)
            parts.check()
            follower.check(control)

    @property
    def order(self) -> RoundsOrder:
        """What the signer is ordered: this run's rounds."""
        last = RunFolder(self.folder).last()
        before = last.round if last else 0
        terms = settings.terms(self.federation, self.components.app)
        survey = "only" if self.survey_only else terms.survey
        terms = replace(terms, baselines=self.baselines, survey=survey)
        first, to = before + 1, before + (0 if self.survey_only else self.rounds)
        expires = time.time() + worst_case(terms, first, to) + _STARTING
        return RoundsOrder(self.folder.name, first, to, terms, expires, site_records.user())

    def _write_settings(
        self, scratch: Path, processes: Processes, forks: Forks, env: dict[str, str]
    ) -> None:
        """Write the server's settings, and the first model."""
        federation = self.federation
        site_records.prepare(self.folder, scratch, [site.name for site in federation.sites])
        first = None
        if RunFolder(self.folder).last() is None:
            first = scratch / "initial.safetensors"
            first_model.build(federation, self.components, first, processes, forks, env)
        server = ServerSettings(
            **settings.server(federation),
            run=str(self.folder.resolve()),
            signer=str(signer.socket(scratch)),
            site_keys=str(scratch / site_records.PUBLIC),
            by=site_records.user(),
            store=str(self._store),
            strategy_socket=workers.strategy_socket(self.federation, scratch),
            initial_weights=str(first) if first else None,
            source_map=str(self.components.app.parent / "source-map.json"),
        )
        survey = "only" if self.survey_only else server.survey
        # Links and workers that end here are started again at once: nobody else comes back.
        server = replace(server, baselines=self.baselines, survey=survey, pause=0.0)
        server.write(scratch / "server.json")

    def _link(self, site: Site, superlink: str, public: str, scratch: Path) -> list[str]:
        """Return the arguments of a site's link; settings.link returns its environment."""
        return [
            *("link", "--site", site.name, "--server", superlink, "--insecure"),
            *("--coordinator-key", public),
            *("--app-hash", app_hash(self.components.app), "--store", str(self._store)),
            *("--socket", str(scratch / site.name)),
            *("--followed", str(scratch / f"{site.name}.followed")),
            *site_records.options(self.folder, scratch, site.name, self.federation),
        ]

    def _look_after(self, processes: Processes) -> None:
        """Restart links and workers that have ended.

        Raises:
            RunError: if the SuperLink, the signer or the strategy's process ended.
        """
        for site, half in product(self.federation.sites, ("link", "worker")):
            if (status := processes.ended(f"{site.name}.{half}")) is not None:
                reason = f"its {half} ended with status {status}"
                state = SiteState(time=now(), site=site.name, state="restarted", reason=reason)
                append(self.folder, state)
                processes.restart(f"{site.name}.{half}")
        for part, name in (("superlink", "the SuperLink"), (signer.NAME, "the signer")):
            if processes.ended(part) is not None:
                raise RunError(f"{name} ended:\n{processes.tail(part)}")
        workers.require_strategy(self.federation, processes)

    @property
    def _personal(self) -> Path:
        """Where sites keep what stays there: beside the run, in which only the server writes."""
        return self.folder.resolve().parent / "personal"

    @property
    def _store(self) -> Path:
        return self.folder.resolve() / STORE


def prepare(
    federation: Federation,
    components: Components,
    rounds: int | None,
    resume: bool,
    baselines: bool | None,
) -> LocalRun:
    """Return the run that the command line asks for.

    A resumed run finishes its planned rounds; if it had finished, it runs as many again. It trains
    each site alone if it did so before.

    Raises:
        RunError: if there is no run to resume.
        FederationFileError: if a site has no data.
    """
    results = federation.root / "results" / federation.name
    earlier = last_folder(results) if resume else None
    site_data.require(federation)
    folder = earlier or new_folder(results)
    if rounds is None:
        rounds = rounds_to_go(folder, int(app_config(components.app)["rounds"]))
    wanted = federation.baselines or had_baselines(folder) if baselines is None else baselines
    sums.refuse_baselines(federation.secure_aggregation, wanted)
    return LocalRun(federation, components, folder, rounds, wanted)
