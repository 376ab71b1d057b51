"""Follows the journals of a server's runs, and puts what is to be told into the outbox.

It is a thread beside the server's own process: a run neither waits for it nor ends by it.
"""

import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from federator.runtime.control.runs import lines_after
from federator.runtime.notify.notices import Notice, RunNotices
from federator.runtime.notify.outbox import Outbox
from federator.runtime.notify.settings import NotifySettings
from federator.runtime.server.journal import FILE

log = logging.getLogger("federator")

_LOOK = 1.0  # seconds
_LEFT = re.compile(r" ends in \d+ days, on ")  # in the words of keys/expiry.py


class Teller:
    """Puts what happens in a federation's runs into the outbox, each event once.

    What the journals have already, when it begins, is not told.

    Args:
        runs: the folder of the runs' folders.
        box: the outbox.
        settings: whom to tell what.
        federation: its name.
        quorum: how many sites a round needs.
        reasons: whether it may be told why something failed.
    """

    def __init__(
        self,
        runs: Path,
        box: Outbox,
        settings: NotifySettings,
        federation: str,
        quorum: int,
        reasons: bool,
    ) -> None:
        self._runs, self._box, self._settings = runs, box, settings
        self._federation, self._of = federation, (quorum, reasons)
        self._known: dict[Path, tuple[int, RunNotices]] = {}
        self._warned: set[str] = set()
        self._complained = False
        with suppress(OSError):  # what cannot be read now is told later
            for _ in self._news():
                pass

    def look(self) -> None:
        """Tell what was written since the last look."""
        self._tell(self._news())

    def warn(self, texts: Iterable[str]) -> Iterator[str]:
        """Pass on warnings of keys and certificates, and tell each that is new."""
        for text in texts:
            yield text
            same = _LEFT.sub(" ends on ", text)
            if same not in self._warned:
                self._warned.add(same)
                self._tell([Notice("expiry", self._federation, text)])

    def run(self) -> None:
        """Look again and again, for ever."""
        while True:
            time.sleep(_LOOK)
            self.look()

    def start(self) -> threading.Thread:
        """Look again and again beside what this process does."""
        thread = threading.Thread(target=self.run, name="notices", daemon=True)
        thread.start()
        return thread

    def _tell(self, notices: Iterable[Notice]) -> None:
        """Put notices into the outbox; what is in the way is logged once."""
        try:
            for notice in notices:
                if notice.event in self._settings.events:
                    if self._box.put(notice, self._settings.sinks):
                        self._complained = False
                    else:
                        self._complain("too many notices wait: see the log of the service notify")
        except OSError as error:
            self._complain(f"notices cannot be written: {error}")

    def _complain(self, what: str) -> None:
        if not self._complained:
            log.error("%s", what)
        self._complained = True

    def _news(self) -> Iterator[Notice]:
        for path in sorted(self._runs.glob(f"*/{FILE}")):
            offset, notices = self._known.get(path, (0, RunNotices(*self._of)))
            for line, end in lines_after(path, offset):
                self._known[path] = end, notices
                try:
                    yield from notices.take(json.loads(line))
                except (ValueError, LookupError, TypeError, AttributeError):
                    continue  # an event of another version, or no event
