"""Follows the journal of a run, or of a federation's newest run, as lines are added to it."""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from federator.errors import RunError
from federator.results import history
from federator.results.history import Journal
from federator.results.progress import status
from federator.results.progress.standing import Standing
from federator.results.publication import LEAST, pooled
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import EVENT, FILE, Event, Round, Start


@dataclass
class Traffic:
    """What the federation's rounds have sent to the sites and received from them, in bytes."""

    down: int = 0
    up: int = 0


class Following:
    """A run as far as its journal goes by now.

    Args:
        runs: a run's folder, or the one that has those of all runs of a federation.
        sites: whether figures of single sites are shown; if not, they are dropped as they are read.

    Attributes:
        run: the folder of the run; None while there is none.
        standing: where it stands.
        journal: what it has come to; None while it has not started.
        traffic: of all sites together.
    """

    def __init__(self, runs: Path, sites: bool) -> None:
        self._runs, self.sites = runs, sites
        self._begin(None)

    def _begin(self, run: Path | None) -> None:
        self.run, self.standing, self.traffic = run, Standing(), Traffic()
        self.journal: Journal | None = None
        self._early: list[Event] = []  # of before the start, which says how to read the others
        self._read = 0  # bytes

    def look(self) -> bool:
        """Take in what was added, or the run that began since; return whether anything was.

        A line that is not complete yet is left for the next time.
        """
        try:
            run = status.newest(self._runs)
            size = (run / FILE).stat().st_size
        except (RunError, OSError):  # there is none yet, or it was removed
            found = self.run is not None
            self._begin(None)
            return found
        anew = run != self.run or size < self._read
        if anew:
            self._begin(run)
        return self._take_added(run / FILE) or anew

    def _take_added(self, file: Path) -> bool:
        try:
            with file.open("rb") as journal:
                journal.seek(self._read)
                added = journal.read()
        except OSError:
            return False
        complete = added[: added.rfind(b"\n") + 1]
        self._read += len(complete)
        for line in complete.splitlines():
            with suppress(ValueError, LookupError, TypeError):  # what a crash left of a line
                self._take(history.event_in(line))
        return bool(complete)

    def _take(self, line: bytes) -> None:
        event = json.loads(line)
        with suppress(ValidationError):  # of another version
            self._count(EVENT.validate_python(event))
        shown = event if self.sites else pooled(event)
        if shown is None:
            return
        self.standing.take(shown)
        with suppress(ValidationError):
            self._keep(EVENT.validate_python(shown))

    def _keep(self, event: Event) -> None:
        if self.journal is not None:
            self.journal.take(event)
            return
        self._early.append(event)
        if isinstance(event, Start):
            self.journal = Journal(self._early)

    def _count(self, event: Event) -> None:
        """Add to the traffic; a round at one site is that site's, and not told if sites are not."""
        if not isinstance(event, Round) or event.model != FEDERATION:
            return
        parts = event.sites.values()
        if self.sites or sum(part.ok for part in parts) >= LEAST:
            self.traffic.down += sum(part.bytes_down for part in parts)
            self.traffic.up += sum(part.bytes_up for part in parts)
