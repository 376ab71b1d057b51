"""How often a link asks the server whether there is something to do, or listens to its bell.

Often while a run is going on, seldom when none is. What comes next waits for the other sites, which
work as long as this one: what is lost by asking late, a part of that time, is small beside it.
"""

import time

_QUICK, _LISTENING, _ACTIVE, _IDLE = 0.02, 0.05, 0.25, 1.0
_ACTIVE_FOR = 60.0
_WORTH = 1 / 25  # of the time that a site worked, for which it need not ask
_PROMPT, _SHARE, _PATIENT = 0.05, 8, 5.0
# Each question costs the SuperLink some 12 ms, so those of N sites a quarter of its time if each
# waits N times this. A few sites need not: with 0.25 s they take less than that.
_FEW, _EACH, _MOST = 5, 0.05, 30.0
# Listening to a bell costs less by far: all sites together do so 100 times a second at most, since
# they may share an address, for which the gateway has a limit. The server is asked nevertheless
# after so many seconds.
_LIGHT, _UNRUNG = 5, 5.0


class Pace:
    """The pauses between one question and the next, in seconds.

    Attributes:
        sites: how many ask the same server, as far as is known.
    """

    def __init__(self) -> None:
        self.sites = 1
        self._pause, self._worked, self._last = _QUICK, 0.0, 0.0

    def answered(self, worked: float) -> None:
        """Begin anew, after an instruction that took so many seconds' work."""
        self._pause, self._worked, self._last = _QUICK, worked, time.monotonic()

    def asked_in_vain(self, taken: float) -> float:
        """Return how long to wait after the server took so long to say that there is nothing.

        Where it takes its time, it has not yet told how many sites there are, or has other work:
        then it is asked no more often than it can answer.
        """
        busy = min((taken - _PROMPT) * _SHARE, _PATIENT)
        return max(self._longer(_ACTIVE, _WORTH), _crowded(self.sites), busy)

    def listened_in_vain(self) -> float:
        """Return how long to wait after the bell had not rung."""
        longer = self._longer(_LISTENING, _WORTH / _LIGHT)
        return max(longer, min(self.sites * _EACH / _LIGHT, _MOST))

    @property
    def patience(self) -> float:
        """After how long to ask the server although no bell has rung."""
        return max(_UNRUNG, _crowded(self.sites))

    def _longer(self, active: float, worth: float) -> float:
        usual = active if time.monotonic() - self._last < _ACTIVE_FOR else _IDLE
        least = min(self._worked * worth, _IDLE)
        self._pause = max(_QUICK, least, min(self._pause * 1.5, usual))
        return self._pause


def _crowded(sites: int) -> float:
    """Return how seldom each of many asks: together they take a quarter of what can be answered."""
    return min(sites * _EACH, _MOST) if sites > _FEW else 0.0
