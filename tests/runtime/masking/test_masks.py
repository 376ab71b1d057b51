"""Masks: the known answers of their standards, and that they cancel in a sum."""

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federator.runtime.masking import masks
from federator.runtime.masking.masks import KeyRefused, Masks, Stream


def test_x25519_gives_the_known_answers_of_rfc_7748():
    """Section 6.1."""
    alice, bob = (
        X25519PrivateKey.from_private_bytes(bytes.fromhex(text))
        for text in (
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        )
    )
    known = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert alice.exchange(bob.public_key()).hex() == known
    keys = [alice.public_key().public_bytes_raw(), bob.public_key().public_bytes_raw()]
    assert [key.hex() for key in keys] == [
        "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    ]
    assert masks.pairwise(alice, keys[1], b"1") == masks.pairwise(bob, keys[0], b"1")
    assert masks.pairwise(alice, keys[1], b"1") != masks.pairwise(alice, keys[1], b"2")


def test_hkdf_gives_the_known_answer_of_rfc_5869():
    """Appendix A.3: without salt and info; shorter output is the beginning of a longer one."""
    known = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert masks.derived(b"\x0b" * 22, b"") == bytes.fromhex(known)[:32]


def test_chacha20_gives_the_known_answers_of_rfc_8439():
    """Appendix A.1, vectors 1 and 2 (one after the other) and 3."""
    known = bytes.fromhex(
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
        "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
        "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"
    )
    stream = Stream(bytes(32))
    assert b"".join(stream.next(count).astype("<u4").tobytes() for count in (3, 13, 16)) == known
    third = Stream(bytes(31) + b"\x01")
    third.next(16)
    assert third.next(16).astype("<u4").tobytes() == bytes.fromhex(
        "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
        "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"
    )


@pytest.mark.parametrize("count", [3, 12])
def test_masks_cancel_in_the_sum_once_the_own_ones_are_known(count):
    names = [f"site-{number:02}" for number in range(count)]
    keys = {name: X25519PrivateKey.generate() for name in names}
    public = {name: key.public_key().public_bytes_raw() for name, key in keys.items()}
    seeds = {name: masks.new_seed() for name in names}
    random = np.random.default_rng(0)
    plain = {name: random.integers(0, 2**32, 1000, np.uint32) for name in names}
    sent = {}
    for name in names:
        pairs = {
            other: masks.pairwise(keys[name], public[other], b"1")
            for other in names
            if other != name
        }
        hiding = Masks(name, pairs, masks.own_mask(seeds[name], b"1"))
        blocks = [hiding.hide(part) for part in np.split(plain[name], [7, 600])]
        sent[name] = np.concatenate(blocks)
        assert np.count_nonzero(sent[name] == plain[name]) < 3  # by chance
    total = sum(sent.values(), np.zeros(1000, np.uint32))
    assert not np.array_equal(total, sum(plain.values(), np.zeros(1000, np.uint32)))
    for name in names:
        total -= Stream(masks.own_mask(seeds[name], b"1")).next(1000)
    assert np.array_equal(total, sum(plain.values(), np.zeros(1000, np.uint32)))


def test_a_key_that_makes_the_secret_known_to_all_is_refused():
    """A point of low order (RFC 7748, section 6.1): the secret would be zeros for anybody."""
    for bad in (bytes(32), b"\x01" + bytes(31), b"short"):
        with pytest.raises(KeyRefused):
            masks.pairwise(X25519PrivateKey.generate(), bad, b"1")
