"""The ways to the server's store: by HTTPS through the gateway, or its folder on one machine.

Every address is made here, from the server that the site's file names and a capability: a message
cannot lead elsewhere.
"""

import base64
import http.client
import math
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from federator.runtime.link.proxy import proxy_for
from federator.runtime.weights.parts import (
    ARRIVING,
    COUNTER_SIZE,
    COUNTERS,
    DOWN,
    MODEL,
    SLOTS,
    UP,
)

_UNHEARD = 30  # seconds after which a line counts as cut if nothing of what was sent has arrived
_SLICE = 2**20  # bytes that are handed to TLS at a time


class NoLongerWanted(Exception):
    """Nobody waits for this any more."""


class StoreClient(Protocol):
    """The way to the server's store. An ``OSError`` says that it may be tried again.

    A request ends at ``until`` (epoch seconds), when nobody waits for the weights any more.
    """

    def get(self, capability: str, start: int, into: memoryview, until: float) -> None:
        """Read the model's bytes from there on, as many as there is room for."""

    def put(self, capability: str, part: str, data: Sequence[memoryview], until: float) -> None:
        """Write a part of an update, in pieces, by its name."""


class Folder:
    """The store itself, on one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, capability: str, start: int, into: memoryview, until: float = math.inf) -> None:
        """Read the model's bytes from there on, as many as there is room for."""
        del until  # a file is read at once
        try:
            with (self._path / DOWN / capability / MODEL).open("rb", buffering=0) as source:
                source.seek(start)
                source.readinto(into)
        except FileNotFoundError:
            raise NoLongerWanted from None

    def read_counter(self, capability: str) -> int:
        """Return the number in a notification counter."""
        return int.from_bytes((self._path / COUNTERS / capability).read_bytes(), "big")

    def put(self, capability: str, part: str, data: Sequence[memoryview], until: float) -> None:
        """Write a part of an update, in pieces, by its name."""
        del until
        lent = self._path / UP / capability
        if not (lent / SLOTS / part).exists():
            raise NoLongerWanted
        arriving = self._path / ARRIVING / secrets.token_hex(8)
        with arriving.open("wb") as out:
            out.writelines(data)
        try:
            arriving.replace(lent / part)
        except FileNotFoundError:
            raise NoLongerWanted from None


class Gateway:
    """The server's gateway, by HTTPS, through a proxy if HTTPS_PROXY names one.

    Args:
        server: ``host:port``.
        context: whom to trust.
        silence: seconds without a byte, after which a line counts as cut.
    """

    def __init__(self, server: str, context: ssl.SSLContext, silence: float = 60.0) -> None:
        self._server, self._silence = server, silence
        self._context = context
        self._idle: list[http.client.HTTPSConnection] = []

    def get(self, capability: str, start: int, into: memoryview, until: float = math.inf) -> None:
        """Read the model's bytes from there on, as many as there is room for."""
        self._read(f"{DOWN}/{capability}/{MODEL}", start, into, until)

    def read_counter(self, capability: str) -> int:
        """Return the number in a notification counter."""
        count = bytearray(COUNTER_SIZE)
        try:
            self._read(f"{COUNTERS}/{capability}", 0, memoryview(count), math.inf)
        except NoLongerWanted:
            raise FileNotFoundError from None
        return int.from_bytes(count, "big")

    def _read(self, where: str, start: int, into: memoryview, until: float) -> None:
        bounds = {"Range": f"bytes={start}-{start + len(into) - 1}"}
        with self._answer("GET", where, bounds, until) as answer:
            if answer.readinto(into) != len(into):
                raise OSError(f"{self._server} sends another number of bytes")

    def put(self, capability: str, part: str, data: Sequence[memoryview], until: float) -> None:
        """Write a part of an update, in pieces, by its name."""
        slices = (
            piece[start : start + _SLICE]
            for piece in data
            for start in range(0, len(piece), _SLICE)
        )
        where, length = f"{UP}/{capability}/{part}", {"Content-Length": str(sum(map(len, data)))}
        with self._answer("PUT", where, length, until, slices):
            pass

    @contextmanager
    def _answer(
        self,
        method: str,
        where: str,
        headers: dict[str, str],
        until: float,
        body: Iterable[memoryview] = (),
    ) -> Iterator[http.client.HTTPResponse]:
        """Make a request; its answer has to be read to the end."""
        connection = self._idle.pop() if self._idle else self._connection()
        try:
            with _cut_at(connection, until):
                connection.request(method, f"/v1/weights/{where}", body or None, headers)
                answer = connection.getresponse()
                if answer.status == http.client.NOT_FOUND:
                    raise NoLongerWanted
                if answer.status not in (http.client.PARTIAL_CONTENT, http.client.CREATED,
                                         http.client.NO_CONTENT):  # fmt: skip
                    raise OSError(f"{self._server} answers {method} with {answer.status}")
                yield answer
                if answer.read(1):  # and no more of it: it may never end
                    raise OSError(f"{self._server} sends another number of bytes")
        except http.client.HTTPException as error:
            connection.close()
            raise OSError(f"{self._server}: {type(error).__name__}") from None
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)

    def _connection(self) -> http.client.HTTPSConnection:
        proxy = proxy_for(self._server)
        if proxy is None:
            return self._encrypted(self._server)
        through = urlsplit(proxy)
        connection = self._encrypted(f"{through.hostname}:{through.port or 80}")
        login = {}
        if through.username:
            said = f"{unquote(through.username)}:{unquote(through.password or '')}"
            login = {"Proxy-Authorization": f"Basic {base64.b64encode(said.encode()).decode()}"}
        connection.set_tunnel(self._server, headers=login)
        return connection

    def _encrypted(self, address: str) -> http.client.HTTPSConnection:
        return _Connection(address, timeout=self._silence, context=self._context)


@contextmanager
def _cut_at(connection: http.client.HTTPSConnection, until: float) -> Iterator[None]:
    """Have a connection cut at a time: byte after byte, an answer may come without an end."""
    if until == math.inf:  # a notification counter is read too often for a thread each time
        yield
        return

    def cut() -> None:
        if connection.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    left = min(max(0.0, until - time.time()), threading.TIMEOUT_MAX)
    timer = threading.Timer(left, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Connection(http.client.HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        # Else a part that was on its way when the line was cut is waited for long after it is back.
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD * 1000)
