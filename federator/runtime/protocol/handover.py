"""What passes between a site's link and its worker: a small protocol over a Unix socket.

Every packet is one JSON object (``"version": 2``). Beside the link's go descriptors of the memory
that both share (shared_memory.py): of the model's, and of that for the update if it is not to be
written over the model. The link takes none. Nothing is unpickled, nothing received is executed.
"""

import json
import logging
import os
import select
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from federator.runtime.protocol.shared_memory import Memory

log = logging.getLogger("federator")

VERSION = 2
_PACKET = 192 * 1024  # bytes: below Linux's default buffer of a socket, 208 KiB (socket(7))
_LOOK = 1.0  # seconds after which it is looked whether the socket is still there
_UNREAD = 10.0  # seconds after which a worker that reads nothing counts as gone


class HandoverError(Exception):
    """The other side is gone, or does not speak this protocol."""


class Channel:
    """One connected end.

    Args:
        connection: a connected socket.
        most: how many memories are taken beside a packet.
    """

    def __init__(self, connection: socket.socket, most: int = 0) -> None:
        self._socket, self._most = connection, most

    def fileno(self) -> int:
        """Return the socket's descriptor, for ``select``."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up; the other end is told by the end of its stream."""
        self._socket.close()

    def send(self, packet: Mapping[str, object], *memory: Memory) -> None:
        """Send one packet.

        Raises:
            HandoverError: if the other side is gone, or the packet is too large.
        """
        data = json.dumps({"version": VERSION, **packet}).encode()
        if len(data) > _PACKET:
            raise HandoverError(f"a packet of {len(data)} bytes is too large")
        try:
            socket.send_fds(self._socket, [data], [one.fd for one in memory])
        except OSError as error:
            raise HandoverError(f"the other process is gone ({error.strerror})") from None

    def receive(self) -> tuple[dict[str, object], list[Memory]]:
        """Wait for one packet.

        Raises:
            HandoverError: if the other side is gone, or it is not a packet of this version.
        """
        try:
            data, fds, flags, _ = socket.recv_fds(self._socket, _PACKET, self._most)
            memory = [Memory(fd) for fd in fds]
        except (OSError, ValueError) as error:
            raise HandoverError(f"nothing comes from the other side ({error})") from None
        if not data:
            raise HandoverError("the other process is gone")
        try:
            packet = json.loads(data)
            if flags & socket.MSG_TRUNC or packet.get("version") != VERSION:
                raise ValueError
        except (ValueError, AttributeError, RecursionError):
            raise HandoverError(f"not a packet of protocol version {VERSION}") from None
        return packet, memory


class WorkerListener:
    """The link's end: waits for the worker, and for its answers."""

    def __init__(self, path: Path) -> None:
        self._path, self._inode = path, 0
        self._listener = self._listen()
        self._worker: Channel | None = None

    def _listen(self) -> socket.socket:
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        before = os.umask(0o117)  # chmod would follow a link that a worker puts in its place
        try:
            listener.bind(str(self._path))
            self._inode = self._path.lstat().st_ino
            listener.listen(1)
        except OSError:
            listener.close()
            raise
        finally:
            os.umask(before)
        return listener

    def _restore(self) -> None:
        """Make the socket again if a worker, which may write to its folder, has taken it away."""
        try:
            if self._path.lstat().st_ino == self._inode:
                return
        except OSError:
            pass
        try:
            listener = self._listen()
        except OSError as error:
            log.warning("%s was removed, and cannot be made again: %s", self._path, error)
            return
        log.warning("%s was removed, and is made again", self._path)
        self._listener.close()
        self._listener = listener

    def worker(self, deadline: float) -> Channel | None:
        """Return the connected worker, waiting for one until ``deadline`` (epoch seconds).

        A worker that connects takes the place of one before it.
        """
        while True:
            waiting: list[socket.socket | Channel] = [self._listener]
            if self._worker is not None:
                waiting.append(self._worker)
            if self._worker is None:
                self._restore()
                waiting = [self._listener]
            left = max(0.0, deadline - time.time())
            patience = 0.0 if self._worker else min(left, _LOOK)
            ready, _, _ = select.select(waiting, [], [], patience)
            if self._listener in ready:
                self.disconnect()
                connection, _ = self._listener.accept()
                connection.settimeout(_UNREAD)
                self._worker = Channel(connection)
            elif ready:  # A worker speaks only when spoken to: this is the end of its stream.
                self.disconnect()
            elif self._worker is not None or time.time() >= deadline:
                return self._worker

    def answer(self, deadline: float) -> dict[str, object] | None:
        """Return the worker's answer, or None if it has not come by ``deadline``.

        Raises:
            HandoverError: if the worker ended instead.
        """
        if self._worker is None:
            raise HandoverError("no worker")
        ready, _, _ = select.select([self._worker], [], [], max(0.0, deadline - time.time()))
        if not ready:
            return None
        try:
            return self._worker.receive()[0]
        except HandoverError:
            self.disconnect()
            raise

    def disconnect(self) -> None:
        """Hang up on the worker; it ends, and whoever supervises it starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None


def connect(path: Path, patience: float) -> Channel:
    """Connect a worker to its link, retrying for ``patience`` seconds.

    Raises:
        HandoverError: if no link listens there.
    """
    deadline = time.monotonic() + patience
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(path))
            return Channel(connection, most=2)
        except OSError as error:
            connection.close()
            if time.monotonic() > deadline:
                raise HandoverError(f"no link at {path} ({error.strerror})") from None
            time.sleep(0.05)
