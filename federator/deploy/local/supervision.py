"""Notices in a rehearsal that a part of the server has ended, which nobody else would tell.

The SuperLink starts a SuperExec, and that the ServerApp. When one of them dies, the SuperLink goes
on, and those who wait for the run would wait as well.
"""

import time

from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.control import control_api

_PAUSE = 1.0


class ServerParts:
    """Looks now and then whether what the SuperLink has started is still there."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._seen: set[str] = set()
        self._gone: set[str] = set()
        self._look_at = 0.0

    def check(self) -> None:
        """Look, unless that was a moment ago.

        A part must be away at two looks in a row, since the ServerApp writes that the run has
        ended and then ends: between the two, that is read.

        Raises:
            RunError: if one was there and is gone, with the last words of the log.
        """
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + _PAUSE
        present = self._processes.programs("superlink") & set(control_api.PARTS)
        gone = self._seen - present
        self._seen |= present
        if both := sorted(gone & self._gone):
            log = self._processes.logs / "superlink.log"
            said = self._processes.tail("superlink")
            raise RunError(f"{both[0]} of the server ended; {log} ends in:\n{said}")
        self._gone = gone
