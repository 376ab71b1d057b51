"""Notices in a local run that a part of the server has ended.

The SuperLink starts a SuperExec, which starts the ServerApp. If one of them dies, the SuperLink
continues, and the run would never end.
"""

import time

from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.control import control_api

_PAUSE = 1.0  # seconds between two checks


class ServerParts:
    """Checks at intervals whether the processes that the SuperLink started still run."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._seen: set[str] = set()
        self._gone: set[str] = set()
        self._look_at = 0.0

    def check(self) -> None:
        """Check, unless the last check was within a second.

        A part must be missing at two checks in a row: the ServerApp records the end of the run and
        then exits, and that record must be read first.

        Raises:
            RunError: if a part has ended, with the last lines of the log.
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
