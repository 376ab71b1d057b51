"""Tells for which sites the server waits, once nothing has come for a while."""

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

Tell = Callable[[Collection[str], datetime], None]

# Seconds without a word from a site, after which that is told: of some, and of all that were asked.
_QUIET, _ALL_QUIET = 15.0, 60.0


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
