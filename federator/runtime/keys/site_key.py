"""A site's key: made at the site, where the private half stays; the public half is sent.

Flower knows a site by an EC key on NIST's curve P-384. Both halves are written in OpenSSH's
formats, so that ``ssh-keygen -lf`` shows a public half's fingerprint, too.
"""

import base64
import sys
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
    ssh_key_fingerprint,
)

from federator.errors import InputError, Problem
from federator.runtime.files import read_text_file, write_secret
from federator.runtime.options import Parser

PLACE = Path("/keys/site.key")
NOBODY = "nobody"
"""A file of this name beside the public keys: that there are none is meant."""
_MAKE = "make a key at the site: docker compose run --rm join"
_KIND = "ecdsa-sha2-nistp384"
_LINE = f"a site's public key is one line that starts with {_KIND}"


def make(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a key, unless there is one already, and return it; only its owner may read the file.

    Raises:
        InputError: if the file cannot be written, or is there and is no key.
    """
    if path.exists():
        return read_private(path)
    key = ec.generate_private_key(ec.SECP384R1())
    write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    return key


def read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the key in a file.

    Raises:
        InputError: if there is none.
    """
    try:
        key = load_ssh_private_key(read_text_file(path), password=None)
    except OSError as error:
        raise InputError(Problem(f"{path}: cannot be read: {error.strerror}", hint=_MAKE)) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp384r1":
        raise InputError(Problem(f"{path}: is not a private key on the curve P-384", hint=_MAKE))
    return key


def read_public(path: Path) -> ec.EllipticCurvePublicKey:
    """Return the public half in a file.

    Raises:
        InputError: if there is none; with a warning if it is a private key.
    """
    try:
        content = read_text_file(path)
    except FileNotFoundError:
        hint = f"save in a file what the site sent, and name that file: {_LINE}"
        raise InputError(Problem(f"{path}: there is no such file", hint=hint)) from None
    except OSError as error:
        raise InputError(Problem(f"{path}: cannot be read: {error.strerror}", hint=_LINE)) from None
    if b"PRIVATE KEY" in content:
        hint = "it must not leave the site: delete this copy, and have the site make a new one"
        raise InputError(Problem(f"{path}: is a private key", hint=hint))
    if (key := public_in(content)) is None:
        raise InputError(Problem(f"{path}: is not a public key on the curve P-384", hint=_LINE))
    return key


def public_in(content: bytes) -> ec.EllipticCurvePublicKey | None:
    """Return the public half that a text is (OpenSSH); None if it is none on the curve P-384."""
    try:
        key = load_ssh_public_key(content.strip())
    except (ValueError, UnsupportedAlgorithm):
        return None
    is_ours = isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp384r1"
    return key if is_ours else None  # type: ignore[return-value]


def line(key: ec.EllipticCurvePublicKey, site: str = "") -> str:
    """Return a public half as the one line that a site sends."""
    return f"{key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} {site}".strip()


def entry(key: ec.EllipticCurvePublicKey, site: str) -> str:
    """Return a public half and its site as a text without spaces: ``SITE:KEY``."""
    return f"{site}:{line(key).split()[1]}"


def entry_in(text: str) -> tuple[str, ec.EllipticCurvePublicKey] | None:
    """Return the site and the public half that a text has (``SITE:KEY``); None if it has none."""
    site, _, encoded = text.partition(":")
    key = public_in(f"{_KIND} {encoded}".encode())
    return (site, key) if site and key is not None else None


def entries_in(texts: Iterable[str]) -> dict[str, ec.EllipticCurvePublicKey]:
    """Return the public half of each site that texts have (``SITE:KEY``).

    Raises:
        ValueError: with the text that has none, or has a site or a key again.
    """
    keys: dict[str, ec.EllipticCurvePublicKey] = {}
    for text in texts:
        found = entry_in(text)
        if found is None or found[0] in keys or found[1] in keys.values():
            raise ValueError(text)
        keys[found[0]] = found[1]
    return keys


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return a public half's fingerprint, as ``ssh-keygen -lf`` shows it."""
    digest = base64.b64encode(ssh_key_fingerprint(key, hashes.SHA256())).decode()
    return f"SHA256:{digest.rstrip('=')}"


def main(arguments: list[str] | None = None) -> int:
    """Make this site's key, if it has none, and print the public half."""
    parser = Parser(prog="keygen", description=main.__doc__)
    parser.add_argument("--key", type=Path, default=PLACE, help="where the key is kept")
    parser.add_argument("--site", default="", help="a name to stand at the end of the line")
    options = parser.parse_args(arguments)
    public = make(options.key).public_key()
    print(line(public, options.site))
    print(f"Send this line to the coordinator. Its fingerprint is {fingerprint(public)}",
          file=sys.stderr)  # fmt: skip
    return 0
