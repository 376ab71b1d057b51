"""The sinks: a webhook (HTTPS), and a mail server (SMTP with TLS).

Certificates are verified. Without TLS only this machine is spoken to. No message of an error holds
an address of a webhook, which is a secret, or a password.
"""

import ipaddress
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from federator.errors import InputError
from federator.runtime.notify.notices import Notice
from federator.runtime.notify.settings import Mail

_PATIENCE = 15.0  # seconds
_SUBMISSION, _IMPLICIT_TLS = 587, 465  # ports, RFC 8314


class NotSentError(Exception):
    """A notice was not taken; its text says why, without a secret.

    Attributes:
        final: whether another try would change nothing.
    """

    def __init__(self, why: str, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Sink(Protocol):
    """What tells people something."""

    def send(self, notice: Notice) -> None:
        """Tell it.

        Raises:
            NotSentError: if it was not taken.
        """


class Webhook:
    """A webhook: it is sent JSON, with a ``text`` as chat programs show it.

    Raises:
        InputError: if the address is none, or neither HTTPS nor this machine's.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise InputError("the file of the webhook has no address that begins with https://")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise InputError("the webhook's address has to begin with https://")
        self._url = url

    def send(self, notice: Notice) -> None:
        """Post it; redirections are not followed."""
        try:
            with httpx.Client(timeout=_PATIENCE, follow_redirects=False) as client:
                status = client.post(self._url, json=notice.fields()).status_code
        except httpx.HTTPError as error:  # its text may have the address
            raise NotSentError(f"it does not answer ({type(error).__name__})") from None
        if not httpx.codes.is_success(status):
            final = httpx.codes.is_client_error(status) and status not in (408, 425, 429)
            raise NotSentError(f"it answers {status}", final)


class MailServer:
    """A mail server.

    Raises:
        InputError: if there is a user without a password.
    """

    def __init__(self, mail: Mail, password: str) -> None:
        host, _, port = mail.server.rpartition(":")
        if not port.isdigit():
            host, port = mail.server, str(_SUBMISSION)
        self._host, self._port = host.strip("[]"), int(port)
        if mail.user and not password:
            raise InputError("the file of the mail server's password is empty")
        self._mail, self._password = mail, password

    def send(self, notice: Notice) -> None:
        """Send it as plain text, a message for all receivers."""
        mail, message = self._mail, EmailMessage()
        message["Subject"] = " ".join(notice.subject.split())
        message["From"], message["To"] = mail.sender, ", ".join(mail.to)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nothing answers it by itself
        message.set_content(f"{notice.fields()['text']}\n\nrun: {notice.run or '–'}\n")
        try:
            with self._connected() as server:
                if mail.user:
                    server.login(mail.user, self._password)
                server.send_message(message)
        except smtplib.SMTPAuthenticationError:
            raise NotSentError("it does not take user and password", final=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotSentError(f"it does not take the message ({type(error).__name__})") from None

    def _connected(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self._port == _IMPLICIT_TLS:
            return smtplib.SMTP_SSL(self._host, self._port, timeout=_PATIENCE, context=context)
        server = smtplib.SMTP(self._host, self._port, timeout=_PATIENCE)
        try:
            server.ehlo_or_helo_if_needed()
            if server.has_extn("starttls") or not _is_here(self._host):
                server.starttls(context=context)  # raises where it is not offered
        except BaseException:
            server.close()
            raise
        return server


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
