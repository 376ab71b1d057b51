"""Masks: streams of numbers modulo 2^32 that two sites share, or that a site has for itself.

Two sites agree on a secret by X25519 (RFC 7748); HKDF-SHA256 (RFC 5869) makes a key of it for one
attempt of a round, and ChaCha20 (RFC 8439) the stream. The first of the two by name adds it, the
other one subtracts it, so that it is not in the sum. A site's own mask is a stream of a random
seed, which it reveals once all others have sent theirs (Bonawitz et al. 2017,
https://doi.org/10.1145/3133956.3133982, without secret shares).
"""

import secrets
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from federator.runtime.masking.fixed_point import Ring

SEED = 32
"""Bytes of a seed, and of a key."""
_PAIR, _OWN = b"federator pairwise mask 1 ", b"federator self mask 1 "
_NONCE = bytes(16)  # the counter, and the nonce: each key makes one stream
_WORD = np.dtype("<u4")


class KeyRefused(ValueError):
    """A public key with which no secret can be agreed on."""


def new_seed() -> bytes:
    """Return a seed from the operating system's randomness."""
    return secrets.token_bytes(SEED)


def derived(secret: bytes, info: bytes) -> bytes:
    """Return a key that follows from a secret, and from what it is for (HKDF-SHA256, no salt)."""
    return HKDF(SHA256(), SEED, None, info).derive(secret)


def pairwise(own: X25519PrivateKey, other: bytes, attempt: bytes) -> bytes:
    """Return the key of the mask that two sites share in an attempt.

    Args:
        own: one site's private key.
        other: the other one's public key, 32 bytes.
        attempt: what names the attempt, the same at both.

    Raises:
        KeyRefused: if the other key is none, or one that would make the secret known to all.
    """
    try:
        secret = own.exchange(X25519PublicKey.from_public_bytes(other))
    except ValueError:
        raise KeyRefused("a key of another site is none") from None
    return derived(secret, _PAIR + attempt)


def own_mask(seed: bytes, attempt: bytes) -> bytes:
    """Return the key of a site's own mask in an attempt, which follows from its seed."""
    return derived(seed, _OWN + attempt)


class Stream:
    """Numbers modulo 2^32 that follow from a key, always the same ones in the same order."""

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(ChaCha20(key, _NONCE), mode=None).encryptor()

    def next(self, count: int) -> Ring:
        """Return so many further numbers."""
        made = self._cipher.update(bytes(count * _WORD.itemsize))
        return np.frombuffer(made, _WORD).astype(np.uint32, copy=False)


class Masks:
    """All masks of a site in an attempt, together.

    Args:
        site: its name.
        pairs: the keys of the masks that it shares, by the other site's name.
        own: the key of its own mask.
    """

    def __init__(self, site: str, pairs: Mapping[str, bytes], own: bytes) -> None:
        self._added = [Stream(own), *(Stream(key) for name, key in pairs.items() if site < name)]
        self._subtracted = [Stream(key) for name, key in pairs.items() if site > name]

    def hide(self, numbers: Ring) -> Ring:
        """Return numbers with the masks' next ones added, modulo 2^32."""
        hidden = numbers.copy()
        for stream in self._added:
            hidden += stream.next(len(hidden))
        for stream in self._subtracted:
            hidden -= stream.next(len(hidden))
        return hidden
