"""The outbox: a folder in which what is to be told waits, a file for each notice and sink.

The server writes there, and has no way to the Internet; who sends has one, and no results.
"""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from federator.runtime import files
from federator.runtime.notify.notices import Notice
from federator.runtime.untrusted import MALFORMED, read_json

MOST = 200
"""Files that may wait for a sink: what is more is not told."""
_LONGEST = 20_000  # bytes of a file


class Outbox:
    """The folder of a federation's notices."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def put(self, notice: Notice, sinks: Iterable[str]) -> bool:
        """Have each sink tell something; return whether all can.

        Raises:
            OSError: if it cannot be written.
        """
        taken = True
        for sink in sinks:
            if len(self.waiting(sink)) >= MOST:
                taken = False
                continue
            self._number += 1
            name = f"{time.time_ns():020d}-{self._number:06d}.{sink}.json"
            files.write(self._folder / name, json.dumps(asdict(notice)))
        return taken

    def waiting(self, sink: str) -> list[Path]:
        """Return the files that wait for a sink, the oldest first."""
        return sorted(self._folder.glob(f"[0-9]*.{sink}.json"))


def read(path: Path) -> Notice | None:
    """Read a file of the outbox; None if there is no notice in it.

    Raises:
        OSError: if it cannot be read.
    """
    try:
        fields = read_json(path.read_bytes(), _LONGEST)
        if not isinstance(fields, dict) or not all(isinstance(v, str) for v in fields.values()):
            return None
        return Notice(**fields)
    except MALFORMED:
        return None
