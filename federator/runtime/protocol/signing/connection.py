"""The connection to the signer: a Unix socket, on which each side sends one JSON object in turn.

Four bytes (big endian) with the length go before each object. The signer has two such sockets: one
for the server, and one for orders, which the server does not reach.
"""

import base64
import json
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from federator.errors import Problem, RunError
from federator.runtime.protocol.signing.orders import OrderError, RoundsOrder
from federator.runtime.protocol.signing.requests import SigningRequest

MOST_BYTES = 2**25
"""The most bytes of an object."""
_BATCH = 2**22  # characters of instructions that are signed at once
_PATIENCE = 60.0  # seconds in which a signer that is started again answers
_SLOW = 120.0  # seconds for one answer, on a machine that is busy
_PAUSE = 0.1


def send(connection: socket.socket, told: Mapping[str, object]) -> None:
    """Send one object.

    Raises:
        OSError: if the other side is gone.
        ValueError: if it is too large.
    """
    data = json.dumps(told).encode()
    if len(data) > MOST_BYTES:
        raise ValueError(f"{len(data)} bytes")
    connection.sendall(len(data).to_bytes(4) + data)


def receive(connection: socket.socket) -> dict[str, object] | None:
    """Return the next object; None if the other side has hung up.

    Raises:
        OSError: if the connection breaks, or nothing comes in time.
        ValueError: if it is none, or too large.
    """
    length = int.from_bytes(_read(connection, 4))
    if length > MOST_BYTES:
        raise ValueError(f"{length} bytes")
    if not (data := _read(connection, length)):
        return None
    try:
        told = json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(told, dict):
        raise ValueError("no object")
    return told


def _read(connection: socket.socket, length: int) -> bytes:
    """Return so many bytes, or none if the other side has hung up before."""
    data = bytearray()
    while len(data) < length:
        if not (piece := connection.recv(min(length - len(data), 2**20))):
            return b""
        data += piece
    return bytes(data)


class SignerClient:
    """The signer, as the server and the command that gives orders reach it.

    Args:
        path: the signer's socket.
        patience: seconds to wait for a signer that is starting (again); a minute by default.
    """

    def __init__(self, path: Path, patience: float | None = None) -> None:
        self._path = path
        self._patience = _PATIENCE if patience is None else patience
        self._connection: socket.socket | None = None

    def sign(self, requests: Sequence[SigningRequest]) -> list[bytes]:
        """Return the signature of each instruction.

        Raises:
            RunError: if the order does not allow one, or the signer does not answer.
        """
        signatures: list[bytes] = []
        for batch in _batches(requests):
            told = self._ask("sign", requests=[asdict(one) for one in batch])
            signatures += map(base64.b64decode, told["signatures"])  # type: ignore[call-overload]
        return signatures

    def sign_manifest(self, run: str, sha256: str) -> bytes:
        """Return the signature of a run's manifest, by its SHA-256 (hex).

        Raises:
            RunError: if no such run was ordered last, or the signer does not answer.
        """
        told = self._ask("sign manifest", run=run, sha256=sha256)
        return base64.b64decode(str(told["signature"]))

    def order(self) -> RoundsOrder | None:
        """Return the order that is open, if any.

        Raises:
            RunError: if the signer does not answer.
        """
        told = self._ask("order")["order"]
        return None if told is None else self._order(told)

    def close_order(self, number: int, state: str) -> None:
        """Close an order: nothing more is signed of it.

        Args:
            number: the order's; of another one, nothing happens.
            state: how it ended, such as ``finished``.

        Raises:
            RunError: if the signer does not answer.
        """
        self._ask("close", number=number, state=state)

    def give(self, order: RoundsOrder) -> RoundsOrder:
        """Give an order, by the socket for orders; return it as it was taken.

        Raises:
            RunError: if another one is open, or the signer does not answer.
        """
        return self._order(self._ask("give", order=order.write())["order"])

    def orders(self) -> list[RoundsOrder]:
        """Return all orders that were given, by the socket for orders.

        Raises:
            RunError: if the signer does not answer.
        """
        told = self._ask("orders")["orders"]
        assert isinstance(told, list)
        return [self._order(one) for one in told]

    def public_key(self) -> str:
        """Return the public half of the coordinator's key (32 bytes in base64).

        Raises:
            RunError: if the signer does not answer.
        """
        return str(self._ask("public key")["public_key"])

    def hang_up(self) -> None:
        """Close the connection; the next question makes another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _order(self, told: object) -> RoundsOrder:
        try:
            return RoundsOrder.read(str(told))
        except OrderError as error:
            raise RunError(f"the signer at {self._path} is of another version: {error}") from None

    def _ask(self, what: str, **told: object) -> dict[str, object]:
        """Return the signer's answer; asks again where the connection was lost."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                if self._connection is None:
                    self._connection = _connect(self._path)
                send(self._connection, {"what": what, **told})
                answer = receive(self._connection)
                if answer is not None:
                    break
                reason = "it hung up"
            except (OSError, ValueError) as error:
                reason = str(error)
            self.hang_up()
            if time.monotonic() > deadline:
                hint = "see what it says: docker compose -f server.yaml logs signer"
                what = f"the signer at {self._path} does not answer: {reason}"
                raise RunError(Problem(what, hint=hint))
            time.sleep(_PAUSE)
        if (refusal := answer.get("refused")) is not None:
            raise RunError(f"the signer refuses: {refusal}")
        return answer


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_SLOW)
    try:
        connection.connect(str(path))
    except OSError:
        with suppress(OSError):
            connection.close()
        raise
    return connection


def _batches(requests: Sequence[SigningRequest]) -> Iterator[list[SigningRequest]]:
    """Yield the requests in order, so many at once as one object takes."""
    batch: list[SigningRequest] = []
    size = 0
    for one in requests:
        if batch and size + len(one.text) + len(one.files) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one.text) + len(one.files)
    if batch:
        yield batch
