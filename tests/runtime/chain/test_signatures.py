"""Signatures as text: one form only."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.runtime.chain import signatures

SITE, COORDINATOR = ec.generate_private_key(ec.SECP384R1()), Ed25519PrivateKey.generate()


def test_a_site_s_signature_is_of_its_key_and_statement():
    text = signatures.by_site(SITE, b"a statement")
    assert len(text) == 128
    assert signatures.is_sites(SITE.public_key(), b"a statement", text)
    assert not signatures.is_sites(SITE.public_key(), b"another", text)
    other = ec.generate_private_key(ec.SECP384R1())
    assert not signatures.is_sites(other.public_key(), b"a statement", text)


def test_the_coordinator_s_is_too():
    text = signatures.as_text(COORDINATOR.sign(b"a statement"))
    assert signatures.is_coordinators(COORDINATOR.public_key(), b"a statement", text)
    assert not signatures.is_coordinators(COORDINATOR.public_key(), b"another", text)


@pytest.mark.parametrize("change", [lambda _: "", lambda t: t[:-1], lambda t: t + "\n",
                                    lambda t: "é" + t[1:], lambda t: "A" * len(t)])  # fmt: skip
def test_another_text_is_no_signature(change):
    site = signatures.by_site(SITE, b"a statement")
    assert not signatures.is_sites(SITE.public_key(), b"a statement", change(site))
    own = signatures.as_text(COORDINATOR.sign(b"a statement"))
    assert not signatures.is_coordinators(COORDINATOR.public_key(), b"a statement", change(own))


def test_no_character_of_a_signature_can_be_another():
    """Base64 has bits at its end that decoders pass over."""
    text = signatures.as_text(COORDINATOR.sign(b"a statement"))
    last = len(text.rstrip("=")) - 1
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for letter in set(letters) - {text[last]}:
        changed = text[:last] + letter + text[last + 1 :]
        assert not signatures.is_coordinators(COORDINATOR.public_key(), b"a statement", changed)
