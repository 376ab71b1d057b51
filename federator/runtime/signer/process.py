"""The process that signs: with the coordinator's key, without a network, over Unix sockets."""

import ctypes
import logging
import os
import signal
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from federator.errors import InputError, Problem
from federator.runtime.files import read_text_file
from federator.runtime.keys.coordinator_key import is_encrypted
from federator.runtime.options import Parser, begin_log
from federator.runtime.protocol.signing.connection import receive, send
from federator.runtime.protocol.signing.orders import OrderError, RoundsOrder
from federator.runtime.signer.ledger import Ledger
from federator.runtime.signer.rules import NotOrderedError
from federator.runtime.signer.service import Answer, SigningService

log = logging.getLogger("federator")

LEDGER, SERVER_SOCKET, ORDERS_SOCKET = "/signer", "/signing/socket", "/signer/orders.socket"
_PR_SET_DUMPABLE = 4  # prctl(2)
_MOST_CONNECTIONS = 64

Ask = Callable[[Mapping[str, object]], Answer]


class _Connection(socketserver.BaseRequestHandler):
    """Answers one who has connected, until that hangs up."""

    server: "_Listener"

    def handle(self) -> None:
        with suppress(OSError, ValueError):
            while (told := receive(self.request)) is not None:
                send(self.request, self.server.ask(told))


class _Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A socket at which questions are answered, so many connections at a time."""

    daemon_threads = True
    request_queue_size = 16

    def __init__(self, path: Path, ask: Ask) -> None:
        self.ask = ask
        self._places = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        before = os.umask(0o117)
        try:
            super().__init__(str(path), _Connection)
        finally:
            os.umask(before)

    def process_request(self, request: object, client_address: object) -> None:
        self._places.acquire()
        super().process_request(request, client_address)  # type: ignore[arg-type]

    def process_request_thread(self, request: object, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)  # type: ignore[arg-type]
        finally:
            self._places.release()


def read_key(path: Path, passphrase: Path | None = None) -> Ed25519PrivateKey:
    """Return the coordinator's key in a file (PEM).

    Args:
        path: the file.
        passphrase: a file with the passphrase of a key that is encrypted; else it may be empty.

    Raises:
        InputError: if there is none, or the passphrase is not the key's.
    """
    hint = "make it on the server (federator provision), and set SERVER_USER to its owner in .env"
    locked = False
    try:
        words = read_text_file(passphrase).strip() if passphrase else b""
        content = path.read_bytes()
        locked = is_encrypted(content)
        if locked and not words:
            need = "name the file with its passphrase in .env: KEY_PASSPHRASE"
            raise InputError(Problem(f"{path}: the key is encrypted", hint=need))
        key = load_pem_private_key(content, words if locked else None)
    except OSError as error:
        raise InputError(Problem(f"{path}: cannot be read: {error.strerror}", hint=hint)) from None
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        if locked:
            raise InputError(f"{path}: the key's passphrase is another one")
        raise InputError(Problem(f"{path}: is not an Ed25519 key", hint=hint))
    return key


def _keep_memory_closed() -> None:
    """Let no other process of this user read the memory of this one, or its descriptors."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0)


def _listen(path: Path, ask: Ask) -> None:
    listener = _Listener(path, ask)
    threading.Thread(target=listener.serve_forever, args=(0.5,), daemon=True).start()


def main(arguments: list[str] | None = None) -> int:
    """Sign what the coordinator's orders allow, until stopped."""
    parser = Parser(prog="signer", description=main.__doc__)
    add = parser.add_argument
    add("--signing-key", type=Path, help="the coordinator's key; without it, a new one")
    add("--key-passphrase", type=Path, help="file with that key's passphrase, if it has one")
    add("--ledger", type=Path, default=Path(LEDGER), help="folder that outlives a restart")
    add("--socket", type=Path, default=Path(SERVER_SOCKET), help="where the server asks")
    add("--orders", type=Path, help="where orders are given; none are taken without it")
    add("--order", help="one that is given by this command (JSON)")
    options = parser.parse_args(arguments)
    begin_log()
    _keep_memory_closed()
    if options.signing_key:
        key = read_key(options.signing_key, options.key_passphrase)
    else:
        key = Ed25519PrivateKey.generate()
    service = SigningService(key, Ledger(options.ledger))
    try:
        if options.order:
            service.give(RoundsOrder.read(options.order))
        _listen(options.socket, partial(service.answer, allowed=service.for_server))
        if options.orders:
            _listen(options.orders, partial(service.answer, allowed=service.for_orders))
    except (OSError, OrderError, NotOrderedError) as error:
        raise InputError(f"the signer cannot start: {error}") from None
    log.info("signs what is ordered")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.pause()
    return 0
