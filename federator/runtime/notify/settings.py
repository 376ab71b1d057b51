"""Whom to tell, as the federation file says it; secrets are in files of the server's machine."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property

from federator.errors import InputError
from federator.runtime.notify.notices import EVENTS
from federator.runtime.untrusted import MALFORMED

WEBHOOK, MAIL = "webhook", "mail"
"""The sinks."""


@dataclass(frozen=True)
class Mail:
    """Where e-mail goes, and by which server.

    Attributes:
        server: ``host`` or ``host:port`` of the mail server.
        sender: who it is from.
        to: who it is for.
        user: who logs in at the mail server; empty if nobody does.
    """

    server: str
    sender: str
    to: tuple[str, ...]
    user: str = ""


@dataclass(frozen=True)
class NotifySettings:
    """Whom to tell, and what.

    Attributes:
        webhook: whether a webhook is told.
        mail: e-mail; None if there is none.
        events: what is told, of :data:`EVENTS`.
    """

    webhook: bool = False
    mail: Mail | None = None
    events: tuple[str, ...] = EVENTS

    @cached_property
    def sinks(self) -> tuple[str, ...]:
        """The names of the sinks that are told."""
        told = {WEBHOOK: self.webhook, MAIL: self.mail is not None}
        return tuple(name for name, is_told in told.items() if is_told)

    def write(self) -> str:
        """Return them as JSON."""
        return json.dumps(asdict(self))

    @staticmethod
    def read(text: str) -> "NotifySettings":
        """Read them from JSON; from an empty text, nobody is told.

        Raises:
            InputError: if they are of another form.
        """
        try:
            fields = json.loads(text or "{}")
            if (mail := fields.get("mail")) is not None:
                fields["mail"] = Mail(**{**mail, "to": tuple(mail["to"])})
            return NotifySettings(**{**fields, "events": tuple(fields.get("events", EVENTS))})
        except MALFORMED as error:
            raise InputError(f"whom to notify cannot be read: {error}") from None
