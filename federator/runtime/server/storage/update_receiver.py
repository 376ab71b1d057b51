"""Receives an update: hashes its parts while others are still arriving.

So a part is read while it is still in the page cache, at a time when the server has little to do.
Its hash counts only if the file is still the same when the update is complete: a part that arrives
again is a new file, and its time of change differs.
"""

import time
from pathlib import Path

from federator.runtime.server.storage.disk import TemporaryFolder
from federator.runtime.weights.block_file import Piece, WeightFile
from federator.runtime.weights.format import WeightsError
from federator.runtime.weights.parts import (
    Hashed,
    Look,
    Part,
    Parts,
    Span,
    cut,
    hash_span,
    hash_spans,
    identity,
    is_known,
    name,
    step,
    total_size,
    zeros,
)

_MOMENT = 0.2  # seconds without a new part, at the least, after which no more are expected


class UpdateReceiver:
    """Takes in the parts of one update.

    Args:
        folder: in which they arrive.
        closed: the folder to move that to, out of everybody's reach.
        size: the bytes of all parts together.
        look: sees what arrives, since it is read anyhow; what comes again it sees again.

    Attributes:
        complete: whether no more parts are to be expected, as far as could be seen.
    """

    def __init__(self, folder: Path, closed: Path, size: int, look: Look | None = None) -> None:
        self._folder, self._closed, self._look = folder, closed, look
        self._starts = {name(number, size): part.start for number, part in enumerate(cut(size))}
        self._within = slice(0, step(size))
        self._found: dict[str, Hashed] = {}
        self._newest, self._longest = 0.0, 0.0
        self.complete = False

    @property
    def capability(self) -> str:
        """Who knows it may write the parts."""
        return self._folder.name

    def hash_arrived(self, until: float) -> bool:
        """Hash parts that have arrived, as many as can be begun until then (``monotonic``).

        Return whether the update is complete with this: all parts are there, or no more have come
        for longer than between those before, since a part that is not changed does not come.
        """
        parts = {path.name for path in self._folder.iterdir()} & self._starts.keys()
        for part in sorted(parts - self._found.keys()):
            if time.monotonic() > until:
                return False
            self._found[part] = hash_span(self._span(self._folder, part), self._look)
            now, self.complete = time.monotonic(), False
            if self._newest:
                self._longest = max(self._longest, now - self._newest)
            self._newest = now
        full = len(self._found) == len(self._starts)
        silence = time.monotonic() - self._newest
        rests = bool(self._found) and silence > max(_MOMENT, 2 * self._longest)
        before, self.complete = self.complete, full or rests
        return self.complete and not before

    def close(self, table: Parts, model: WeightFile | None = None, given: Parts = ()) -> WeightFile:
        """Take in what was written; it is on disk for as long as the returned object is held.

        Args:
            table: the parts of the update, as the site tells them.
            model: what the site had been given; parts that it has are not sent.
            given: the parts of that.

        Raises:
            WeightsError: naming a part that is not what the table says.
        """
        lease = TemporaryFolder(self._closed)
        self._folder.rename(lease.folder)
        if not table:
            raise WeightsError("there is no update")
        size, found = total_size(table), self._arrived()
        pieces: list[Piece] = []
        for number, (part, where) in enumerate(zip(table, cut(size), strict=True)):
            path = lease.folder / name(number, size)
            if found.get(path.name) == part:
                pieces.append(Piece(path, 0, part.size, lease))
            elif path.name in found or not is_known(number, part, size, given):
                raise WeightsError(f"part {number} is not the one whose hash the site gave")
            elif part == zeros(part.size):
                with path.open("wb") as out:
                    out.truncate(part.size)  # takes no place on disk
                pieces.append(Piece(path, 0, part.size, lease))
            elif model is not None:
                pieces += model.pieces(where.start, where.stop)
        return WeightFile(*pieces)

    def _arrived(self) -> dict[str, Part]:
        """Return what is in the parts that are there, by their names."""
        found, new = dict[str, Part](), list[Span]()
        for part in self._starts:
            here, known = self._span(self._closed, part), self._found.get(part)
            if not here.path.exists():
                continue
            if known is not None and known.file == identity(here.path.stat()):
                found[part] = known.part
            else:
                new.append(here)
        hashed = hash_spans(new, self._look)
        return found | {span.path.name: one.part for span, one in zip(new, hashed, strict=True)}

    def _span(self, folder: Path, part: str) -> Span:
        return Span(folder / part, self._within, self._starts[part])
