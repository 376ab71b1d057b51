"""The certificates and the coordinator's signing key of a federation's server.

This runs on the server. ``keys/`` in the federation's folder holds the secrets, which stay there
(git ignores them). ``public/`` is committed, and the sites' files are made with it: the
certificate authority, unless a public authority issued the server's certificate, and the public
half of the key that signs instructions.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from federator.deploy.certificates import (
    Pair,
    covers,
    expiry,
    issue,
    read_pair,
)
from federator.deploy.key_files import KeyFiles
from federator.deploy.signing_keys import PUBLISHED, SECRET, SigningKeys
from federator.errors import FederationFileError, InputError, Problem, Where
from federator.federation.schema import FILE, Federation
from federator.runtime.keys.expiry import WARN_BEFORE

# Sites keep the authority for the life of a federation; the server renews its own certificate.
_AUTHORITY_DAYS, _SERVER_DAYS = 3650, 365
WATCH_TOKEN = "watch.token"
"""The file of the live page's token."""
# The SuperLink is reached by the gateway and by the server, inside their own network only.
_INNER_NAMES = ("superlink", "localhost", "127.0.0.1")


@dataclass
class Provision(KeyFiles):
    """The keys and certificates in a federation's folder.

    Attributes:
        authority_key: the key of the federation's own authority, if it is kept somewhere else.
    """

    authority_key: Path | None = None

    @property
    def is_public(self) -> bool:
        """Whether the server's certificate comes from a public authority."""
        return (self.keys / "server.crt").exists() and not (self.public / "ca.crt").exists()

    @property
    def expires(self) -> datetime:
        """When the server's certificate expires."""
        return expiry(self.keys / "server.crt")

    @property
    def renew_soon(self) -> bool:
        """Whether the last month of the server's certificate has begun."""
        return self.expires - datetime.now(UTC) < WARN_BEFORE

    def prepare(self) -> None:
        """Make the folders, and the keys that do not depend on the server's name.

        Raises:
            InputError: if this machine has a public half, but not its key.
        """
        self.require(PUBLISHED, self.keys / SECRET)
        self.make_folders()
        for name in ("superexec.secret", WATCH_TOKEN):
            if not (self.keys / name).exists():
                self.keep(name, secrets.token_hex(32).encode())
        if not (self.keys / "superlink.crt").exists():
            self._keep_pair("superlink", issue(_INNER_NAMES, _AUTHORITY_DAYS))
        SigningKeys(self).prepare()

    def take(self, pair: Pair) -> None:
        """Install a public authority's certificate; remove the federation's own authority."""
        self._keep_pair("server", pair)
        (self.public / "ca.crt").unlink(missing_ok=True)
        (self.keys / "ca.key").unlink(missing_ok=True)

    def certify(self, host: str, renew: bool) -> None:
        """Issue the server's certificate, unless a valid one for this host exists.

        The authority's key is needed for that alone: it may be kept elsewhere the rest of the time.

        Raises:
            InputError: if it is needed, and not here.
        """
        if not (self.public / "ca.crt").exists():
            authority = issue((), _AUTHORITY_DAYS)
            self.keep("ca.key", authority.key)
            self.publish("ca.crt", authority.certificate)
        served = self.keys / "server.crt"
        if renew or not served.exists() or self.renew_soon or not covers(served.read_bytes(), host):
            key = self.authority_key or self.keys / "ca.key"
            self.require("ca.crt", key)
            authority = Pair((self.public / "ca.crt").read_bytes(), key.read_bytes())
            self._keep_pair("server", issue((host,), _SERVER_DAYS, authority))

    def _keep_pair(self, name: str, pair: Pair) -> None:
        self.keep(f"{name}.key", pair.key)
        self.keep(f"{name}.crt", pair.certificate)


def provision(
    federation: Federation,
    renew: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
    authority_key: Path | None = None,
) -> Provision:
    """Make missing keys and certificates; renew the server's certificate where necessary.

    With ``certificate`` (the server's, then its intermediates) and its ``key``, the server shows
    those, and the sites trust it by their systems' certificates. With ``authority_key``, the
    federation's own authority signs with the key in that file, which is not kept on the server.

    Raises:
        InputError: if no server is named, or what is there or given does not fit together.
    """
    if federation.server is None:
        hint = f'add a line to {FILE}, such as "server: fl.example.org"'
        raise FederationFileError(Problem("server is missing", Where(FILE), hint))
    if (certificate is None) != (key is None):
        raise InputError("a certificate comes with its key: give both")
    host = urlsplit(f"//{federation.server}").hostname or ""
    made = Provision(
        federation.folder / "keys", federation.folder / "public", authority_key=authority_key
    )
    pair = read_pair(certificate, key, host) if certificate and key else None
    made.prepare()
    if pair is not None:
        made.take(pair)
    elif not made.is_public:
        made.certify(host, renew)
    elif renew or not covers((served := made.keys / "server.crt").read_bytes(), host, served):
        hint = "give the new one: --certificate FILE --key FILE"
        message = "the server's certificate is a public authority's, who alone can renew it"
        raise InputError(Problem(message, hint=hint))
    return made
