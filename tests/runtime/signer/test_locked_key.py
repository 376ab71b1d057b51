"""The signer and a key that is encrypted."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from federator.errors import InputError
from federator.runtime.signer.process import main, read_key

KEY, WORDS = Ed25519PrivateKey.generate(), b"six words of a list by dice"
OPEN = NoEncryption()


@pytest.fixture
def file(tmp_path):
    """A function that writes the key and its passphrase; it returns both files."""

    def write(method=OPEN, words=b""):
        key, passphrase = tmp_path / "coordinator.key", tmp_path / "passphrase"
        key.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, method))
        passphrase.write_bytes(words)
        return key, passphrase

    return write


def test_a_locked_key_is_read_with_its_passphrase(file):
    found = read_key(*file(BestAvailableEncryption(WORDS), WORDS + b"\n"))
    assert found.public_key() == KEY.public_key()


@pytest.mark.parametrize("words", [b"", b"whatever it says"])
def test_a_key_that_is_not_locked_needs_none(file, words):
    assert read_key(*file(words=words)).public_key() == KEY.public_key()


@pytest.mark.parametrize(
    ("words", "said"),
    [(b"", "is encrypted\n    name the file"), (b"another one", "passphrase is another one")],
)
def test_without_its_passphrase_nothing_is_signed(file, words, said):
    key, passphrase = file(BestAvailableEncryption(WORDS), words)
    with pytest.raises(InputError, match=said):
        main([f"--signing-key={key}", f"--key-passphrase={passphrase}"])


def test_a_passphrase_that_cannot_be_read_is_told(file, tmp_path):
    key, _ = file()
    with pytest.raises(InputError, match=r"cannot be read"):
        read_key(key, tmp_path / "absent")
