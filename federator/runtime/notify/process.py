"""The process that sends what waits in the outbox: it has the Internet, and no results or keys."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from federator.errors import InputError
from federator.runtime.files import read_text_file
from federator.runtime.notify import outbox
from federator.runtime.notify.notices import Notice
from federator.runtime.notify.outbox import Outbox
from federator.runtime.notify.settings import MAIL, WEBHOOK, NotifySettings
from federator.runtime.notify.sinks import MailServer, NotSentError, Sink, Webhook
from federator.runtime.options import Parser, begin_log

log = logging.getLogger("federator")

PAUSES = (5.0, 30.0, 120.0, 600.0)
"""Seconds between tries of one notice: after the last one it is given up."""
_LOOK = 1.0  # seconds


class Sender:
    """Sends what waits for one sink, in order, each notice once.

    Args:
        name: the sink's, as the outbox has it.
        sink: who is told.
        folder: the outbox.
        pauses: seconds between two tries.
        wait: waits so many seconds.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        folder: Path,
        pauses: Sequence[float] = PAUSES,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        self._name, self._sink, self._box = name, sink, Outbox(folder)
        self._pauses, self._wait = pauses, wait

    def send_waiting(self) -> None:
        """Send, or give up, all that waits now.

        Raises:
            OSError: if the outbox cannot be read or changed.
        """
        for path in self._box.waiting(self._name):
            if (notice := outbox.read(path)) is None:
                log.error("%s: what waits in %s is no notice", self._name, path.name)
            else:
                self._send(notice)
            path.unlink(missing_ok=True)

    def run(self) -> None:
        """Send what waits, for ever."""
        while True:
            try:
                self.send_waiting()
            except OSError as error:
                log.error("%s: the outbox cannot be read: %s", self._name, error.strerror)
                self._wait(self._pauses[-1])
            self._wait(_LOOK)

    def _send(self, notice: Notice) -> None:
        """Try until it is taken; what is in the way is logged once."""
        for pause in (*self._pauses, None):
            try:
                self._sink.send(notice)
                return
            except NotSentError as error:
                if error.final or pause is None:
                    log.error("%s: a notice is given up: %s", self._name, error)
                    return
                if pause == self._pauses[0]:
                    log.warning("%s: %s: it is tried again", self._name, error)
                self._wait(pause)


def sinks(settings: NotifySettings, webhook: Path, password: Path) -> dict[str, Sink]:
    """Return the sinks that are told, by name.

    Raises:
        InputError: if the secret of one is missing.
    """
    made: dict[str, Sink] = {}
    if settings.webhook:
        if not (url := _secret(webhook)):
            raise InputError(f"{webhook}: no address: name its file in .env, WEBHOOK=/path/to/it")
        made[WEBHOOK] = Webhook(url)
    if settings.mail is not None:
        made[MAIL] = MailServer(settings.mail, _secret(password))
    return made


def _secret(path: Path) -> str:
    try:
        return read_text_file(path).decode("utf-8", "replace").strip()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def main(arguments: list[str] | None = None) -> int:
    """Send what the server has to tell, until stopped."""
    parser = Parser(prog="notify", description=main.__doc__)
    add = parser.add_argument
    add("--notify", default="", help="whom to tell: JSON")
    add("--outbox", type=Path, default=Path("/notices"), help="folder of what is to be told")
    add("--webhook", type=Path, default=Path("/run/federator/webhook"), help="file of its address")
    add("--mail-password", type=Path, default=Path("/run/federator/mail.password"),
        help="file of the password at the mail server")  # fmt: skip
    options = parser.parse_args(arguments)
    begin_log()
    told = sinks(NotifySettings.read(options.notify), options.webhook, options.mail_password)
    senders = [
        threading.Thread(target=Sender(name, sink, options.outbox).run, name=name, daemon=True)
        for name, sink in told.items()
    ]
    for sender in senders:
        sender.start()
    log.info("notices are sent by: %s", ", ".join(told) or "nothing")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    return 0
