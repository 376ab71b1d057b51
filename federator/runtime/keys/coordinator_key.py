"""The coordinator's public keys: a name and a last day for each, and a site knows one or two.

A key is written as ``ID:LAST_DAY:KEY``, such as ``3f9a12bc:2028-11-27:`` and 44 characters. The
last day is UTC's; the site's file names it, so the site enforces it. While the coordinator
exchanges a key for its next one, a site's file has both, and the site follows either.
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from federator.errors import InputError, Problem
from federator.runtime.files import sha256

LIFETIME = timedelta(days=730)
"""How long a new key holds: NIST SP 800-57 part 1, table 1, has 1 to 3 years for such a key."""
MOST = 2
"""The most keys that a site knows at a time: the present one, and the next one."""
_PARTS, _LONG = 3, 32  # an Ed25519 public key has 32 bytes (RFC 8032)


@dataclass(frozen=True)
class CoordinatorKey:
    """A public key of the coordinator's.

    Attributes:
        public: the key, 32 bytes (Ed25519).
        last_day: the last day (UTC) on which a site follows it.
    """

    public: bytes
    last_day: date

    @classmethod
    def of(cls, key: Ed25519PublicKey, last_day: date | None = None) -> "CoordinatorKey":
        """Return a key that is valid until a day; without one, for the usual lifetime."""
        return cls(key.public_bytes_raw(), last_day or datetime.now(UTC).date() + LIFETIME)

    @classmethod
    def read(cls, text: str) -> "CoordinatorKey":
        """Return the key that a text has.

        Raises:
            InputError: if it is none, or its name is another key's.
        """
        parts = text.split(":")
        try:
            named, day, key = parts
            read = cls(base64.b64decode(key, validate=True), date.fromisoformat(day))
            good = len(parts) == _PARTS and len(read.public) == _LONG and named == read.name
        except (ValueError, binascii.Error):
            good = False
        if not good:
            what = f"{text[:80]!r} is no key of the coordinator's"
            hint = "it is ID:LAST_DAY:KEY, as federator provision writes it: copy it again"
            raise InputError(Problem(what, hint=hint))
        return read

    @property
    def name(self) -> str:
        """The key's name: the first 8 digits of its SHA-256."""
        return sha256(self.public)[:8]

    @property
    def ends(self) -> datetime:
        """When the key's last day ends."""
        return datetime.combine(self.last_day + timedelta(days=1), time(), UTC)

    @property
    def ended(self) -> bool:
        """Whether the key's last day is over."""
        return self.ends <= datetime.now(UTC)

    @property
    def key(self) -> Ed25519PublicKey:
        """The key, to check signatures with."""
        return Ed25519PublicKey.from_public_bytes(self.public)

    def write(self) -> str:
        """Return the key as a text without spaces."""
        return f"{self.name}:{self.last_day}:{base64.b64encode(self.public).decode()}"


def read_keys(texts: Iterable[str]) -> tuple[CoordinatorKey, ...]:
    """Return the keys that texts have, one each; the first is the one that signs at present.

    Raises:
        InputError: if a text is no key, one occurs twice, or there are none or too many.
    """
    keys = tuple(map(CoordinatorKey.read, texts))
    if not 0 < len(keys) <= MOST or len({key.public for key in keys}) < len(keys):
        raise InputError(f"{len(keys)} keys of the coordinator's: one or {MOST} different ones")
    return keys


def is_encrypted(content: bytes) -> bool:
    """Return whether a private key in PEM needs a passphrase."""
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in content
