"""A run pauses while too few of its sites are there, and goes on when enough are back.

A pause lasts no longer than the federation file says. A run that was cut short in a pause, as when
the server was started again, waits for what is left of it.
"""

import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from federator.runtime.server.journal import FILE, Paused, Resumed, append, events, now

PASSING = ("no-worker", "lost", "sizes")
"""Failures of a site that is away, or has to join again: it gets over these by itself."""

_LOOK = 1.0  # seconds between looks at who is there
# Seconds after which who is connected and could not join is asked again. A site notes each question
# on its disk, so that they grow.
_ASK_AGAIN, _SELDOM, _GROWTH = 2.0, 60.0, 2.0
_TELL_AGAIN = 15.0  # seconds between two words of whom a pause waits for

Welcome = Callable[[bool], None]
"""Lets sites join that have come; if told to, those that could not before are asked again."""


class Shortage(NamedTuple):
    """Of which sites how many have to be there for a step of a run.

    Attributes:
        nodes: the sites that are there, at each look.
        needed: how many of those below have to be.
        among: of which sites; None for any.
        reasons: returns by site why it is not there.
    """

    nodes: Collection[str]
    needed: int
    among: frozenset[str] | None
    reasons: Callable[[], Mapping[str, str]]

    @property
    def lacking(self) -> int:
        """How many have to come; 0 or less if enough are there."""
        here = set(self.nodes) if self.among is None else self.among & set(self.nodes)
        return self.needed - len(here)

    @property
    def missing(self) -> frozenset[str]:
        """The sites that are not there."""
        return (self.among or frozenset()) - set(self.nodes)


class Pauses:
    """The pauses of a run.

    Args:
        run: the run's folder, whose journal says what happened.
        longest: seconds that a pause may last; 0 for none.
        welcome: lets sites join.

    Attributes:
        seconds: that all pauses lasted, of this start of the run.
        ended: what a failure says of the pause before it, if that ended for want of sites.
    """

    def __init__(self, run: Path, longest: float, welcome: Welcome) -> None:
        self._run, self._longest, self._welcome = run, longest, welcome
        self._left, self._step, self._until = _cut_short(run), "", 0.0
        self.seconds, self.ended = 0.0, ""

    def wait(self, step: str, shortage: Shortage) -> bool:
        """Wait until enough sites are there.

        Args:
            step: what waits, such as ``round 7``: all pauses of one step end at one time.
            shortage: of which sites.

        Returns:
            Whether they are; if not, the time is over, or the run makes no pauses.
        """
        enough = shortage.lacking <= 0
        if not enough and self._longest:
            enough = self._pause(step, shortage)
        self._left = 0.0
        return enough

    def _pause(self, step: str, shortage: Shortage) -> bool:
        began = time.time()
        if step != self._step:
            ends = self._left if self._left > began else began + self._longest
            self._step, self._until = step, ends
        told, tell_at = (0, frozenset[str]()), 0.0
        again, ask_at = _ASK_AGAIN, began + _ASK_AGAIN
        while (lacking := shortage.lacking) > 0:
            found = (lacking, shortage.missing)
            if found != told and time.time() >= tell_at:
                told, tell_at = found, time.time() + _TELL_AGAIN
                self._tell(step, *found, shortage.reasons())
            if time.time() > self._until:
                until = datetime.fromtimestamp(self._until, UTC).isoformat(" ", "minutes")
                self.ended = f"; the run was paused for them until {until[:16]} UTC"
                return False
            time.sleep(_LOOK)
            self._welcome(is_due := time.time() >= ask_at)
            if is_due:
                again = min(again * _GROWTH, _SELDOM)
                ask_at = time.time() + again
        taken = time.time() - began
        self.seconds += taken
        append(self._run, Resumed(time=now(), step=step, seconds=round(taken, 3)))
        return True

    def _tell(
        self, step: str, lacking: int, sites: Collection[str], reasons: Mapping[str, str]
    ) -> None:
        event = Paused(
            time=now(),
            step=step,
            sites=sorted(sites),
            needed=lacking,
            until=datetime.fromtimestamp(self._until, UTC),
            reasons={site: reasons[site] for site in sorted(sites) if site in reasons},
        )
        append(self._run, event)


def _cut_short(run: Path) -> float:
    """Return when the pause ends in which the run was cut short (epoch seconds); 0 if none."""
    if not (run / FILE).exists():
        return 0.0
    *_, last = None, *events(run, Paused, Resumed)
    return last.until.timestamp() if isinstance(last, Paused) else 0.0
