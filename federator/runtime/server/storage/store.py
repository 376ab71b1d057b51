"""The server's store: a folder in which weights wait for the sites, and arrive from them.

``down/CAPABILITY/model`` is read by whoever knows the capability. ``up/CAPABILITY/slots/0000.16``
and so on are empty files, for each of which ``up/CAPABILITY/0000.16`` may be written, a part of an
update, of at most so many MiB: there are as many as an update has parts, which bounds what a site
can write. (If a part took the place of the empty file itself, ext4 would write it to disk at once.)
The gateway serves these folders; on one machine the links use them directly. What has arrived
is moved to ``closed/``, out of everybody's reach, before it counts. What is on its way, of a
part or of another request that is too long for the gateway's memory, is in ``arriving/``.
``counters/CAPABILITY`` tells a site when to ask for messages.
"""

import secrets
import shutil
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from federator.runtime.server.storage.disk import TemporaryFolder
from federator.runtime.server.storage.update_receiver import UpdateReceiver
from federator.runtime.weights.block_file import Draft, Piece, WeightFile
from federator.runtime.weights.format import Tensor, Weights, save
from federator.runtime.weights.parts import (
    ARRIVING,
    COUNTER_SIZE,
    COUNTERS,
    DOWN,
    MODEL,
    SLOTS,
    UP,
    Look,
    Parts,
    cut,
    hash_file,
    name,
)

STORE = ".store"
"""Its name in a run's folder, where no other place was made for it."""
_CLOSED = "closed"


class Store:
    """Lends capabilities: to read a model, and to write an update.

    Args:
        folder: the store's; what an earlier run has left there is removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in (DOWN, UP, _CLOSED, ARRIVING, COUNTERS):
            (folder / part).mkdir(parents=True, exist_ok=True)
            _empty(folder / part)
        self._counters: list[Path] = []
        weakref.finalize(self, _remove, self._counters)

    def publish(self, file: WeightFile) -> tuple[str, Parts]:
        """Let weights be read; return the capability for it, and the table of their parts."""
        capability = secrets.token_hex(16)
        path = self.folder / DOWN / capability / MODEL
        path.parent.mkdir()
        file.copy(path)
        return capability, file.parts or hash_file(path)

    def accept(self, size: int, look: Look | None = None) -> UpdateReceiver:
        """Let the parts of a file of this size be written; return where they arrive."""
        capability = secrets.token_hex(16)
        lent = self.folder / UP / capability
        (lent / SLOTS).mkdir(parents=True)
        for number in range(len(cut(size))):
            (lent / SLOTS / name(number, size)).touch()
        return UpdateReceiver(lent, self.folder / _CLOSED / capability, size, look)

    def keep(self, weights: Weights) -> WeightFile:
        """Put weights on disk, for as long as the returned object is held."""
        return self._put(lambda path: save(path, weights))

    def make(self, tensors: Mapping[str, Tensor], fill: Callable[[Draft], None]) -> WeightFile:
        """Put weights on disk as :meth:`keep` does, written by ``fill`` block by block."""

        def write(path: Path) -> None:
            with path.open("wb") as out:
                fill(Draft(out, tensors))

        return self._put(write)

    def _put(self, write: Callable[[Path], None]) -> WeightFile:
        lease = TemporaryFolder(self.folder / _CLOSED / secrets.token_hex(16))
        lease.folder.mkdir()
        write(lease.folder / MODEL)
        return WeightFile(Piece.whole(lease.folder / MODEL, lease))

    def new_counter(self) -> str:
        """Make a site's notification counter, until this object goes; return its capability."""
        capability = secrets.token_hex(16)
        self._counters.append(self.folder / COUNTERS / capability)
        self._counters[-1].write_bytes(bytes(COUNTER_SIZE))
        return capability

    def increment(self, capability: str) -> None:
        """Add 1 to a notification counter.

        A failure is no error: a link that sees no change asks the server after a while.
        """
        path = self.folder / COUNTERS / capability
        with suppress(OSError), path.open("r+b", buffering=0) as counter:
            count = int.from_bytes(counter.read(), "big") + 1
            counter.seek(0)
            counter.write(
                count.to_bytes(COUNTER_SIZE, "big")
            )  # not replaced: a link may be reading it

    def withdraw(self) -> None:
        """Take all capabilities of weights back."""
        for part in (DOWN, UP):
            _empty(self.folder / part)


def _remove(counters: list[Path]) -> None:
    for counter in counters:
        with suppress(OSError):
            counter.unlink()


def _empty(folder: Path) -> None:
    for inside in folder.iterdir():
        if inside.is_dir():
            shutil.rmtree(inside, ignore_errors=True)
        else:
            inside.unlink(missing_ok=True)
