"""The certificates and the coordinator's signing key of a federation's server.

This runs on the server. ``keys/`` in the federation's folder holds the secrets, which stay there
(git ignores them). ``public/`` is committed, and the sites' files are made with it: the
certificate authority, unless a public authority issued the server's certificate, and the public
half of the key that signs instructions.
"""

import base64
import os
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from federator.deploy.certificates import (
    Pair,
    covers,
    expiry,
    issue,
    load_key,
    read_pair,
)
from federator.errors import FederationFileError, InputError, Problem, Where
from federator.federation.schema import FILE, Federation
from federator.runtime.files import write_secret

CONTAINER_USER = 10001  # the user that link.Dockerfile.j2 creates
# Sites keep the authority for the life of a federation; the server renews its own certificate.
_AUTHORITY_DAYS, _SERVER_DAYS = 3650, 365
_RENEW_BEFORE = timedelta(days=30)  # as certbot does
# The SuperLink is reached by the gateway and by the server, inside their own network only.
_INNER_NAMES = ("superlink", "localhost", "127.0.0.1")


@dataclass
class Provision:
    """The keys and certificates in a federation's folder.

    Attributes:
        keys: folder of the secrets, which stay on the server.
        public: folder of the public halves, which are committed.
        written: the files that were made.
    """

    keys: Path
    public: Path
    written: list[Path] = field(default_factory=list)

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
        return self.expires - datetime.now(UTC) < _RENEW_BEFORE

    def prepare(self) -> None:
        """Make the folders, and the keys that do not depend on the server's name.

        Raises:
            InputError: if this machine has a public half, but not its key.
        """
        for name, secret in (("ca.crt", "ca.key"), ("coordinator.pub", "coordinator.key")):
            if (self.public / name).exists() and not (self.keys / secret).exists():
                message = f"{self.public / name} is here, but not its key, {self.keys / secret}"
                hint = (
                    "run this on the server that has it; or start again: remove "
                    f"{self.public}, and give every site a new file"
                )
                raise InputError(Problem(message, hint=hint))
        self.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own(self.keys)
        self.public.mkdir(exist_ok=True)
        (self.keys / ".gitignore").write_text("*\n")
        if not (self.keys / "superexec.secret").exists():
            self._keep("superexec.secret", secrets.token_hex(32).encode())
        if not (self.keys / "superlink.crt").exists():
            self._keep_pair("superlink", issue(_INNER_NAMES, _AUTHORITY_DAYS))
        if not (self.keys / "coordinator.key").exists():
            key = Ed25519PrivateKey.generate()
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self._keep("coordinator.key", pem)
        self._publish("coordinator.pub", _public_half(self.keys / "coordinator.key"))

    def take(self, pair: Pair) -> None:
        """Install a public authority's certificate; remove the federation's own authority."""
        self._keep_pair("server", pair)
        (self.public / "ca.crt").unlink(missing_ok=True)
        (self.keys / "ca.key").unlink(missing_ok=True)

    def certify(self, host: str, renew: bool) -> None:
        """Issue the server's certificate, unless a valid one for this host exists."""
        if not (self.public / "ca.crt").exists():
            authority = issue((), _AUTHORITY_DAYS)
            self._keep("ca.key", authority.key)
            self._publish("ca.crt", authority.certificate)
        served = self.keys / "server.crt"
        if renew or not served.exists() or self.renew_soon or not covers(served.read_bytes(), host):
            authority = Pair(
                (self.public / "ca.crt").read_bytes(), (self.keys / "ca.key").read_bytes()
            )
            self._keep_pair("server", issue((host,), _SERVER_DAYS, authority))

    def _keep_pair(self, name: str, pair: Pair) -> None:
        self._keep(f"{name}.key", pair.key)
        self._keep(f"{name}.crt", pair.certificate)

    def _keep(self, name: str, content: bytes) -> None:
        write_secret(self.keys / name, content)
        self._own(self.keys / name)
        self.written.append(self.keys / name)

    def _publish(self, name: str, content: bytes) -> None:
        path = self.public / name
        if not path.exists() or path.read_bytes() != content:
            write_secret(path, content)
            path.chmod(0o644)
            self.written.append(path)

    def _own(self, path: Path) -> None:
        # The containers run as this user and could not read root's files.
        if os.geteuid() == 0:
            os.chown(path, CONTAINER_USER, CONTAINER_USER)


def provision(
    federation: Federation,
    renew: bool = False,
    certificate: Path | None = None,
    key: Path | None = None,
) -> Provision:
    """Make missing keys and certificates; renew the server's certificate where necessary.

    With ``certificate`` (the server's, then its intermediates) and its ``key``, the server shows
    those, and the sites trust it by their systems' certificates.

    Raises:
        InputError: if no server is named, or what is there or given does not fit together.
    """
    if federation.server is None:
        hint = f'add a line to {FILE}, such as "server: fl.example.org"'
        raise FederationFileError(Problem("server is missing", Where(FILE), hint))
    if (certificate is None) != (key is None):
        raise InputError("a certificate comes with its key: give both")
    host = urlsplit(f"//{federation.server}").hostname or ""
    made = Provision(federation.folder / "keys", federation.folder / "public")
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


def _public_half(path: Path) -> bytes:
    key = load_key(path.read_bytes(), path)
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path}: is not an Ed25519 key")
    return base64.b64encode(key.public_key().public_bytes_raw()) + b"\n"
