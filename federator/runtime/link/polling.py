"""How often a link asks the server for messages, and how often it reads its notification counter.

Often while a run is going on, seldom when none is. What comes next waits for the other sites, which
work as long as this one: what is lost by asking late, a part of that time, is small beside it.
"""

import time
from typing import Protocol

# Seconds: the shortest pause, and the longest ones: between readings of a counter, between
# questions while a run is going on, and when none is.
_QUICK, _READING, _ACTIVE, _IDLE = 0.02, 0.05, 0.25, 1.0
_ACTIVE_FOR = 60.0  # seconds after an instruction in which a run counts as going on
_WORTH = 1 / 25  # of the time that a site worked, for which it need not ask
# An answer that takes longer than _PROMPT seconds comes from a busy server: the link then pauses
# _SHARE times as long, at most _PATIENT seconds, so that each link costs it an eighth of its time.
_PROMPT, _SHARE, _PATIENT = 0.05, 8, 5.0
# Each question costs the SuperLink some 12 ms, so those of N sites a quarter of its time if each
# waits N times this. A few sites need not: with 0.25 s they take less than that.
_FEW, _EACH, _MOST = 5, 0.05, 30.0
# Reading a counter costs far less: all sites together read 100 times a second at most, since they
# may share an address, for which the gateway has a limit. The server is asked nevertheless after
# so many seconds.
_LIGHT, _UNCHANGED = 5, 5.0


class Pace:
    """The pauses between one question and the next, in seconds.

    Attributes:
        sites: how many ask the same server, as far as is known.
    """

    def __init__(self) -> None:
        self.sites = 1
        self._pause, self._worked, self._last = _QUICK, 0.0, 0.0

    def answered(self, worked: float) -> None:
        """Reset the pause, after an instruction that took so many seconds' work."""
        self._pause, self._worked, self._last = _QUICK, worked, time.monotonic()

    def found_nothing(self, taken: float) -> float:
        """Return how long to wait after the server took so long to say that there is nothing.

        If it took long, it has not yet said how many sites there are, or has other work: then it
        is asked no more often than it can answer.
        """
        busy = min((taken - _PROMPT) * _SHARE, _PATIENT)
        return max(self._longer(_ACTIVE, _WORTH), _crowded(self.sites), busy)

    def unchanged(self) -> float:
        """Return how long to wait after the notification counter had not changed."""
        longer = self._longer(_READING, _WORTH / _LIGHT)
        return max(longer, min(self.sites * _EACH / _LIGHT, _MOST))

    @property
    def patience(self) -> float:
        """Seconds after which to ask the server although the counter has not changed."""
        return max(_UNCHANGED, _crowded(self.sites))

    def _longer(self, active: float, worth: float) -> float:
        usual = active if time.monotonic() - self._last < _ACTIVE_FOR else _IDLE
        least = min(self._worked * worth, _IDLE)
        self._pause = max(_QUICK, least, min(self._pause * 1.5, usual))
        return self._pause


def _crowded(sites: int) -> float:
    """Return how seldom each of many asks: together they take a quarter of what can be answered."""
    return min(sites * _EACH, _MOST) if sites > _FEW else 0.0


class CounterReader(Protocol):
    """How a notification counter is read."""

    def read_counter(self, capability: str) -> int:
        """Return the number in a notification counter.

        Raises:
            FileNotFoundError: if the counter is gone for good.
            OSError: if it may be read later.
        """


class NotificationCounter:
    """Says when a link has to ask the server.

    Asking the SuperLink costs it some 12 ms each time, of the one processor that it can use. A
    notification counter is a small file in the server's store with the number of the messages that
    were sent to this site; reading it costs the gateway a hundredth of that. Its address, like that
    of weights, is an unguessable name, and the coordinator signs it.

    Args:
        reader: reads the counter; None if there is no way to.

    Attributes:
        readable: whether the counter could be read the last time.
    """

    def __init__(self, reader: CounterReader | None = None) -> None:
        self._reader, self._capability = reader, ""
        self._count = 0  # as it was read the last time
        self._received: int | None = None  # so many messages are known to have arrived
        self._polled_at, self.readable = 0.0, False

    def subscribe(self, capability: str) -> None:
        """Read another counter from now on, or none if ``capability`` is empty."""
        if capability != self._capability:
            self._capability, self._received = capability, None

    def should_poll(self, patience: float) -> bool:
        """Return whether to ask the server.

        That is so if the counter has changed, if it cannot be read, and after ``patience`` seconds.
        """
        self.readable = False
        if self._reader is None or not self._capability:
            return True
        try:
            self._count = self._reader.read_counter(self._capability)
        except FileNotFoundError:
            self.subscribe("")
            return True
        except OSError:
            return True
        self.readable = True
        return self._count != self._received or time.monotonic() - self._polled_at > patience

    def polled(self, found: bool) -> None:
        """Record that the server was asked, and whether it had a message."""
        self._polled_at = time.monotonic()
        if not found:
            self._received = self._count
        elif self._received is not None:
            self._received += 1
