"""What the server asks the signer for: signatures of instructions, and of a run's manifest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from federator.runtime.chain import signatures
from federator.runtime.protocol.instructions import digest


@dataclass(frozen=True)
class SigningRequest:
    """One instruction to be signed.

    Attributes:
        run_id: number of the Flower run.
        node: number of the node that is to follow it.
        text: the instruction as JSON.
        files: what the message says of weights that travel as files (parts.py); empty if none do.
        arrays: SHA-256 (hex) of the weights that travel in the message; empty if none do.
    """

    run_id: int
    node: int
    text: str
    files: str = ""
    arrays: str = ""

    @property
    def digest(self) -> str:
        """What of the weights is signed."""
        return digest(self.files, self.arrays)


class Signer(Protocol):
    """Signs with the coordinator's key what the coordinator's order allows."""

    def sign(self, requests: Sequence[SigningRequest]) -> list[bytes]:
        """Return the signature of each instruction.

        Raises:
            RunError: if the order does not allow one of them, then none is signed; or if the
                signer does not answer.
        """

    def sign_manifest(self, run: str, sha256: str) -> bytes:
        """Return the signature of the manifest of a run that was ordered, by its SHA-256 (hex).

        Raises:
            RunError: if no such run was ordered last, or the signer does not answer.
        """


def _manifest_statement(run: str, sha256: str) -> bytes:
    return "\n".join(["federator manifest 1", run, sha256]).encode(errors="surrogatepass")


def sign_manifest(key: Ed25519PrivateKey, run: str, sha256: str) -> bytes:
    """Return the coordinator's signature (Ed25519) of a run's manifest."""
    return key.sign(_manifest_statement(run, sha256))


def is_manifest_signed(key: Ed25519PublicKey, signature: str, run: str, sha256: str) -> bool:
    """Return whether a text is the coordinator's signature of a run's manifest, by its SHA-256."""
    return signatures.is_coordinators(key, _manifest_statement(run, sha256), signature)
