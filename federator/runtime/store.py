"""The server's store: a folder in which weights wait for the sites, and arrive from them.

``down/CAPABILITY/model`` is read by whoever knows the capability. ``up/CAPABILITY/slots/0000.16``
and so on are empty files, for each of which ``up/CAPABILITY/0000.16`` may be written, a part of an
update, of at most so many MiB: there are as many as an update has parts, which bounds what a site
can write. (If a part took the place of the empty file itself, ext4 would write it to disk at once.)
The gateway serves these two folders; on one machine the links use them directly. What has arrived
is moved to ``closed/``, out of everybody's reach, before it is looked at. What is on its way, of a
part or of another request that is too long for the gateway's memory, is in ``arriving/``.
"""

import hashlib
import secrets
import shutil
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from federator.runtime.parcels import Part, Table, cut, is_known, name, step, whole, zeros
from federator.runtime.weightfile import Draft, Piece, WeightFile
from federator.runtime.weights import Tensor, Weights, WeightsError, save

STORE = ".store"
"""Its name in a run's folder, where no other place was made for it."""
MODEL = "model"
DOWN, UP, SLOTS, ARRIVING = "down", "up", "slots", "arriving"
_CLOSED = "closed"
Look = Callable[[int, memoryview], None]
"""Sees bytes of a file that passes by, and where in it the first of them is."""
_AT_ONCE = 4
_READ = 2**18  # what is read is still in the processor's cache when it is hashed


class Store:
    """Lends capabilities, and takes in what was sent under them.

    Args:
        folder: the store's; what an earlier run has left there is removed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in (DOWN, UP, _CLOSED, ARRIVING):
            (folder / part).mkdir(parents=True, exist_ok=True)
            _empty(folder / part)

    def publish(self, file: WeightFile) -> tuple[str, Table]:
        """Let weights be read; return the capability for it, and the table of their parts."""
        capability = secrets.token_hex(16)
        path = self.folder / DOWN / capability / MODEL
        path.parent.mkdir()
        file.copy(path)
        return capability, _table([_Span(path, part, part.start) for part in cut(file.size)])

    def accept(self, size: int) -> str:
        """Let the parts of a file of this size be written; return the capability for it."""
        capability = secrets.token_hex(16)
        slots = self.folder / UP / capability / SLOTS
        slots.mkdir(parents=True)
        for number in range(len(cut(size))):
            (slots / name(number, size)).touch()
        return capability

    def close(
        self,
        capability: str,
        table: Table,
        model: WeightFile | None = None,
        given: Table = (),
        look: Look | None = None,
    ) -> WeightFile:
        """Take in what was written; it is on disk for as long as the returned object is held.

        Args:
            capability: under which it was.
            table: the parts of the update, as the site tells them.
            model: what the site had been given; parts that it has are not sent.
            given: the parts of that.
            look: sees what was sent, since it is read anyhow.

        Raises:
            WeightsError: naming a part that is not what the table says.
        """
        lease = _Lease(self.folder / _CLOSED / capability)
        (self.folder / UP / capability).rename(lease.folder)
        if not table:
            raise WeightsError("there is no update")
        size = whole(table)
        paths = [lease.folder / name(number, size) for number in range(len(table))]
        sent = [
            _Span(path, slice(0, step(size)), where.start)
            for path, where in zip(paths, cut(size), strict=True)
            if path.exists()
        ]
        found = dict(zip((span.path for span in sent), _table(sent, look), strict=True))
        pieces: list[Piece] = []
        for number, (path, part, where) in enumerate(zip(paths, table, cut(size), strict=True)):
            if path in found and found[path] == part:
                pieces.append(Piece(path, 0, part.size, lease))
            elif path in found or not is_known(number, part, size, given):
                raise WeightsError(f"part {number} is not what the site says it sent")
            elif part == zeros(part.size):
                with path.open("wb") as out:
                    out.truncate(part.size)  # takes no place on disk
                pieces.append(Piece(path, 0, part.size, lease))
            elif model is not None:
                pieces += model.pieces(where.start, where.stop)
        return WeightFile(*pieces)

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
        lease = _Lease(self.folder / _CLOSED / secrets.token_hex(16))
        lease.folder.mkdir()
        write(lease.folder / MODEL)
        return WeightFile(Piece.whole(lease.folder / MODEL, lease))

    def withdraw(self) -> None:
        """Take all capabilities back."""
        for part in (DOWN, UP):
            _empty(self.folder / part)


class _Lease:
    """Removes a folder when it is let go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)


def _empty(folder: Path) -> None:
    for inside in folder.iterdir():
        if inside.is_dir():
            shutil.rmtree(inside, ignore_errors=True)
        else:
            inside.unlink(missing_ok=True)


class _Span(NamedTuple):
    """Some bytes of a file, and where the first of them belongs in the whole."""

    path: Path
    within: slice
    at: int


def _table(spans: Sequence[_Span], look: Look | None = None) -> Table:
    """Return size and hash of parts of files, several computed at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(lambda span: _part(span, look), spans))


def _part(span: _Span, look: Look | None) -> Part:
    hashed, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(_READ))
    with span.path.open("rb", buffering=0) as source:
        source.seek(span.within.start)
        while read := source.readinto(buffer[: span.within.stop - span.within.start - size]):
            hashed.update(buffer[:read])
            if look is not None:
                look(span.at + size, buffer[:read])
            size += read
    return Part(size, hashed.hexdigest())
