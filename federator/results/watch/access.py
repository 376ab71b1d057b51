"""Who may read the live page: whoever has its token, and asks for it by a name that is its own.

The name is checked against DNS rebinding: a page of another site, whose name has come to lead to
this machine, would otherwise be of the same origin.
"""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from federator.errors import InputError, Problem, Where

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_SHORTEST = 16  # characters of a token: fewer could be tried out
_LARGEST = 4096  # bytes


def new_token() -> str:
    """Return a token that nobody guesses: 256 bits."""
    return secrets.token_urlsafe(32)


def read_token(file: Path) -> str:
    """Return the token in a file.

    Raises:
        InputError: if it cannot be read, or holds none.
    """
    try:
        with file.open("rb") as opened:
            token = opened.read(_LARGEST).decode("ascii").strip()
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or "it is not ASCII text"
        raise InputError(Problem(f"the token cannot be read: {what}", Where(str(file)))) from None
    if len(token) < _SHORTEST or not token.isprintable() or set(token) & set(" &#+%"):
        hint = "write one: openssl rand -hex 32"
        message = f"a token is {_SHORTEST} letters and digits or more"
        raise InputError(Problem(message, Where(str(file)), hint))
    return token


@dataclass(frozen=True)
class Access:
    """Decides who may read.

    Attributes:
        token: what a request has to bring, as ``?token=`` or as ``Authorization: Bearer``.
        names: the names of this machine by which it may be asked, besides those of loopback.
    """

    token: str
    names: Collection[str] = ()

    def refusal(self, target: str, host: str | None, authorization: str | None) -> str:
        """Return why a request is refused; empty if it is not.

        Args:
            target: its path and query.
            host: its header ``Host``.
            authorization: its header ``Authorization``.
        """
        if _name(host or "") not in (*LOOPBACK, *self.names):
            return "this page is not served by that name"
        if not hmac.compare_digest(_given(target, authorization).encode(), self.token.encode()):
            return "open the address that `federator watch` printed: it has the token"
        return ""


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _given(target: str, authorization: str | None) -> str:
    kind, _, value = (authorization or "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    try:
        return parse_qs(urlsplit(target).query).get("token", [""])[0]
    except ValueError:
        return ""
