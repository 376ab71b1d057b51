"""The exceptions of the author's code in the logs of a local run, whose data are the author's."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from federator.runtime.server.journal import Line
from federator.runtime.worker.author_code import FAILED

_LINES, _BYTES = 12, 2**16  # of a message that are shown; of a log's end that are read
_HEAD = "Traceback (most recent call last):"
_NEXT = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|[A-Z]+:\w|\{\"reason\""
)  # a line of a log's own


class Exceptions:
    """Reads the exceptions of the author's code at the sites since the last call.

    Args:
        logs: the folder of the logs.
        sites: the sites' names.
    """

    def __init__(self, logs: Path, sites: Iterable[str]) -> None:
        self._paths = {site: logs / f"{site}.worker.log" for site in sites}
        self._read = {site: _size(path) for site, path in self._paths.items()}
        self._told: set[str] = set()

    def news(self) -> Iterator[Line]:
        """Yield an event for each exception that no site has had before: its text and its log."""
        for site, path in self._paths.items():
            if (size := _size(path)) > self._read[site]:
                text = last_exception(_tail(path, self._read[site]))
                self._read[site] = size
                if text is not None and text not in self._told:
                    self._told.add(text)
                    yield {"event": "exception", "site": site, "text": text, "log": str(path)}


def last_exception(log: str) -> str | None:
    """Return type and message of the last exception of the author's in a log's text.

    For an exception from a DataLoader's process, they are those of the original one.
    """
    _, marked, told = log.rpartition(FAILED)
    _, begun, trace = told.rpartition(_HEAD)
    if not (marked and begun):
        return None
    lines = iter(trace.splitlines()[1:])
    message = [next((line for line in lines if line[:1].strip()), "")]
    for line in lines:
        if _NEXT.match(line):
            break
        message.append(line)
    text = "\n".join(message[:_LINES]).strip()
    return text or None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as log:
        log.seek(max(start, _size(path) - _BYTES))
        return log.read().decode(errors="replace")
