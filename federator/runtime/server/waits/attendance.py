"""Which sites of a run are there: they join at its start, and later, and too few are waited for."""

import time
from collections.abc import Callable

from federator.errors import RunError
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.exchange import Answer
from federator.runtime.server.journal import SiteState, events
from federator.runtime.server.packing import Order
from federator.runtime.server.recorder import Recorder
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage.checkpoints import RunFolder
from federator.runtime.server.survey.surveys import Surveys
from federator.runtime.server.waits.pauses import PASSING, Pauses, Shortage

_RETURNING = 2.0  # seconds that a round waits for a site that has just come back


class Attendance:
    """The sites of a run, as they join.

    Args:
        sites: the federation's, as they are connected.
        settings: the server's own.
        folder: the run's.
        record: writes down who joins.
        surveys: keeps what they tell of their data.
        greeting: returns what a site is told that joins, until when (epoch seconds) it may answer.
        quorum: how many sites have to be there.

    Attributes:
        pauses: those of the run.
    """

    def __init__(
        self,
        sites: Sites,
        settings: ServerSettings,
        folder: RunFolder,
        record: Recorder,
        surveys: Surveys,
        greeting: Callable[[float], Order],
        quorum: int,
    ) -> None:
        self._sites, self._settings, self._folder = sites, settings, folder
        self._record, self._surveys, self._greeting = record, surveys, greeting
        self._expected, self._quorum = frozenset(settings.sites), quorum
        self._unfit: set[str] = set()  # they answer, and will not join by themselves
        self.pauses = Pauses(folder.path, settings.pause, self.look)

    def join(self) -> None:
        """Wait for the sites of the federation, and write down which joined.

        Raises:
            RunError: if there are fewer than the quorum.
        """
        deadline = time.time() + self._settings.join_deadline
        order = self._greeting(deadline + self._settings.round_deadline)
        spoke = set()
        for answer in self._sites.join(order, self._expected, self._quorum, deadline):
            spoke.add(answer.site)
            self.hear(answer)
        for site in sorted(self._expected - spoke):
            self._record.write_missing(site)
        if not self.enough("joining", self._quorum):
            raise RunError(
                f"{len(self._sites.nodes)} of {len(self._expected) or self._quorum} sites joined "
                f"{self._lacking(self._quorum)}"
            )
        self._tell_survey(stop=self._settings.survey == "required")

    def welcome(self, step: str, least: int = 0) -> None:
        """Let sites that have come meanwhile take part from now on.

        Args:
            step: for what, such as ``round 7``: it waits where too few sites are there, in a pause.
            least: how many sites it needs, if that is more than the quorum.

        Raises:
            RunError: if fewer are there.
        """
        least = max(least, self._quorum)
        for answer in self._sites.welcome(self._order(), self._expected, _RETURNING):
            self.hear(answer)
        self._tell_survey()
        if not self.enough(step, least):
            count = len(self._sites.nodes)
            raise RunError(f"{step}: {count} sites are there {self._lacking(least)}")

    def look(self, again: bool = True) -> None:
        """Let sites join that have come; ``again`` asks those, too, that could not before."""
        for answer in self._sites.look(self._order(), self._expected, again):
            self.hear(answer)
        self._tell_survey()

    def enough(self, step: str, least: int) -> bool:
        """Return whether so many sites are there, if need be after a pause before a step.

        There is none if those that are away would not be enough either.
        """
        nodes, among = self._sites.nodes.keys(), self._expected or None
        if among is not None and len(among - (self._unfit - nodes)) < least:
            return False  # they are there, and refuse or fail
        return self.pauses.wait(step, Shortage(nodes, least, among, self.why_not))

    def why_not(self) -> dict[str, str]:
        """Return by site why it is not there."""
        states = events(self._folder.path, SiteState)
        said = {state.site: state.reason for state in states if state.state != "warned"}
        silent = dict.fromkeys(self._expected, "it did not connect")
        lost = str(Failure("lost"))  # it had joined
        reasons = silent | {site: reason or lost for site, reason in said.items()}
        return {s: why for s, why in sorted(reasons.items()) if s not in self._sites.nodes}

    def hear(self, answer: Answer) -> None:
        """Write down what a site says that joins, and keep what it tells of its data."""
        self._record.write_receipts([answer])
        self._record.write_privacy([answer])
        self._record.write_site(answer)
        unfit = answer.failure is not None and answer.failure.reason not in (*PASSING, "late")
        (self._unfit.add if unfit else self._unfit.discard)(answer.site)
        self._surveys.take(answer)

    def _order(self) -> Order:
        return self._greeting(time.time() + self._settings.round_deadline)

    def _lacking(self, least: int) -> str:
        here = ", ".join(sorted(self._sites.nodes)) or "none"
        why = "; ".join(f"{site}: {reason}" for site, reason in self.why_not().items())
        return f"({here}), {least} needed: {why}{self.pauses.ended}"

    def _tell_survey(self, stop: bool = False) -> None:
        """Write down what was found in the data of the sites that have joined since the last time.

        Raises:
            RunError: if something was, and it is to ``stop`` on that.
        """
        found = [] if self._settings.survey == "no" else self._surveys.write()
        if found and stop:
            listed = "\n".join(map(str, found))
            raise RunError(f"stopped before the first round, for `survey: required`:\n{listed}")
