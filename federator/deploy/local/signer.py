"""The signer of a local run: the process that signs in a server's container, with a key of its own.

The key is made there and written nowhere. The order comes with the command, and no other is taken.
"""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.protocol.signing.connection import SignerClient
from federator.runtime.protocol.signing.orders import RoundsOrder

NAME = "signer"
"""Of the process."""


def socket(scratch: Path) -> Path:
    """Return where the server asks for signatures."""
    return scratch / "signer.socket"


def start(order: RoundsOrder, scratch: Path, processes: Processes, env: Mapping[str, str]) -> None:
    """Start the signer."""
    command = [
        *(sys.executable, "-P", "-m", "federator.runtime", "signer"),
        *("--ledger", str(scratch / NAME), "--socket", str(socket(scratch))),
        *("--order", order.write()),
    ]
    processes.start(NAME, command, env)


def public_key(scratch: Path, processes: Processes) -> str:
    """Return the public half of the signer's key, as a site's file has it.

    Raises:
        RunError: if the signer has not started.
    """
    try:
        raw = base64.b64decode(SignerClient(socket(scratch)).public_key())
    except RunError:
        raise RunError(f"the signer did not start:\n{processes.tail(NAME)}") from None
    return CoordinatorKey.of(Ed25519PublicKey.from_public_bytes(raw)).write()
