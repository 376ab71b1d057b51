"""Signatures as text, in one form only: a site's (ECDSA on P-384) and the coordinator's (Ed25519).

They are base64 (RFC 4648) of the bytes that IEEE P1363 (r, then s) and RFC 8032 define. A text
that is not the one that would be written is no signature, so that no bit of it can be changed.
"""

import base64
import binascii

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA384

_SIZE = 48  # bytes of a number of P-384
_ED25519 = 64  # bytes of a coordinator's signature
_METHOD = ec.ECDSA(SHA384())


def by_site(key: ec.EllipticCurvePrivateKey, statement: bytes) -> str:
    """Return a site's signature of a statement: 128 characters."""
    numbers = decode_dss_signature(key.sign(statement, _METHOD))
    return as_text(b"".join(number.to_bytes(_SIZE, "big") for number in numbers))


def is_sites(key: ec.EllipticCurvePublicKey, statement: bytes, text: str) -> bool:
    """Return whether a text is a site's signature of a statement."""
    if (found := as_bytes(text, 2 * _SIZE)) is None:
        return False
    r, s = (int.from_bytes(half, "big") for half in (found[:_SIZE], found[_SIZE:]))
    try:
        key.verify(encode_dss_signature(r, s), statement, _METHOD)
    except InvalidSignature:
        return False
    return True


def is_coordinators(key: Ed25519PublicKey, statement: bytes, text: str) -> bool:
    """Return whether a text is a coordinator's signature of a statement."""
    if (found := as_bytes(text, _ED25519)) is None:
        return False
    try:
        key.verify(found, statement)
    except InvalidSignature:
        return False
    return True


def as_text(signature: bytes) -> str:
    """Return the bytes of a signature, or of a key, as text (base64)."""
    return base64.b64encode(signature).decode()


def as_bytes(text: str, size: int) -> bytes | None:
    """Return so many bytes, if the text is the one that is written for them; else None."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) == size and as_text(found) == text else None
