"""How the server waits for sites: for how long, how often it asks, and when it says so.

A site decides in the same way how often it asks for messages (link/polling.py).
"""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime

from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import Round
from federator.runtime.server.storage.update_receiver import UpdateReceiver

Tell = Callable[[Collection[str], datetime], None]

# Pauses between two questions for answers, in seconds. A question costs the SuperLink some 12 ms of
# computing, so the server asks quickly only when an answer is likely.
QUICK, SLOW = 0.02, 0.2
_SELDOM = 1.0  # while every update is still on its way: few answers come without one
_SLOWEST = 2.0  # however long the last question took
_GROWTH = 1.5  # of the pause, each time that nothing has come
_CROWD = 4  # sites; where more are pending, a question brings in several answers at once

# Seconds without a word from a site, after which that is told: of some, and of all that were asked.
_QUIET, _ALL_QUIET = 15.0, 60.0


_MEASURED = 2  # rounds, before their times say how long others take
_LEAST = 60.0  # seconds: a site that was busy for a moment is waited for


def patience(rounds: Iterable[Round], most: float, times: float | None) -> float:
    """Return how many seconds a round waits for its updates, by how long earlier ones took.

    Args:
        rounds: those of the run so far.
        most: seconds, where nothing is measured, and at the most.
        times: how many times as long as the slowest site took so far; None for ``most``.
    """
    done = [each for each in rounds if each.model == FEDERATION and each.ok]
    taken = [part.seconds for each in done for part in each.sites.values() if part.ok]
    known = [seconds for seconds in taken if seconds is not None]
    if times is None or len(done) < _MEASURED or not known:
        return most
    return min(most, max(_LEAST, times * max(known)))


class WaitingNotice:
    """One wait for sites; which of them are awaited is told again only when they are others.

    Args:
        tell: is called with the sites' names, and until when they are waited for.
        deadline: epoch seconds.
        everyone: all that were asked, where it is usual that none answers at once.
    """

    def __init__(self, tell: Tell, deadline: float, everyone: Collection[str] = ()) -> None:
        self._everyone = frozenset(everyone)
        self._tell, self._until = tell, datetime.fromtimestamp(deadline, UTC)
        self._sites: frozenset[str] | None = None
        self._told: frozenset[str] | None = None
        self._since = 0.0

    def look(self, sites: Collection[str]) -> None:
        """Note who is awaited now, and tell of it if that has not changed for a while."""
        now, awaited = time.monotonic(), frozenset(sites)
        if awaited != self._sites:
            self._sites, self._since = awaited, now
            return
        patience = _ALL_QUIET if awaited == self._everyone else _QUIET
        if awaited != self._told and now - self._since >= patience:
            self._told = awaited
            self._tell(sorted(awaited), self._until)


class Pause:
    """The time between two questions for answers: it grows while nothing comes.

    A site with an update to send is waited for by looking for its parts, which costs less.

    Args:
        receivers: where the updates arrive, of the sites whose answers are pending; None for a
            site whose weights do not travel as files.
    """

    def __init__(self, receivers: Sequence[UpdateReceiver | None]) -> None:
        self._crowd = 1.0
        self._seconds = SLOW if all(receivers) else QUICK

    def wait(self, receivers: Sequence[UpdateReceiver | None], deadline: float) -> bool:
        """Wait until it is time to ask, or ``deadline`` (epoch seconds); hash what arrives.

        Returns:
            True, at once, when an update is complete.
        """
        seconds, tick = min(self._seconds, deadline - time.time()), QUICK * self._crowd
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if sum(one.hash_arrived(until) for one in receivers if one is not None):
                return True
            time.sleep(min(tick, left))
        return False

    def adapt(self, receivers: Sequence[UpdateReceiver | None], came: bool, asking: float) -> None:
        """Set the next pause, after a question that took ``asking`` seconds."""
        self._crowd = max(1.0, len(receivers) / _CROWD)
        if came:
            self._seconds = QUICK * self._crowd
            return
        on_the_way = all(one is not None and not one.complete for one in receivers)
        longest = _SELDOM if on_the_way else SLOW
        grown = min(self._seconds * _GROWTH, longest)
        self._seconds = max(grown, min(asking * self._crowd, _SLOWEST))
