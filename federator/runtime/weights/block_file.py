"""Weights on disk, read and written block by block: memory does not depend on the model's size.

A file of weights is a safetensors file, or the consecutive pieces of one, wherever they lie.
"""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.weights.format import (
    MAX_HEAD,
    Tensor,
    Weights,
    WeightsError,
    file_form,
    load,
    read_from,
    read_head,
)
from federator.runtime.weights.parts import Parts

BLOCK = 2**16
"""How many numbers are in memory at a time. With a few times as many, the C library's allocator
asks the kernel for each block anew, which costs more than the arithmetic."""
_POURED = 2**20  # bytes that are copied at a time


class Block(NamedTuple):
    """Some consecutive numbers of a tensor."""

    name: str
    first: int
    last: int


@dataclass(frozen=True)
class Piece:
    """Some consecutive bytes of a file.

    Attributes:
        path: the file.
        start: the first of them.
        size: how many there are.
        lease: what keeps the file there; it may go when nobody holds this.
    """

    path: Path
    start: int
    size: int
    lease: object = None

    @classmethod
    def whole(cls, path: Path, lease: object = None) -> "Piece":
        """Return all of a file."""
        return cls(path, 0, path.stat().st_size, lease)

    def within(self, first: int, last: int) -> "Piece":
        """Return what lies between two of its bytes, counted from its own first one."""
        first, last = max(0, first), min(self.size, last)
        return Piece(self.path, self.start + first, max(0, last - first), self.lease)


class WeightFile:
    """Weights that stay on disk until they are asked for.

    Args:
        pieces: the file, or its pieces in their order.
        parts: its parts, if somebody has hashed them already.

    Raises:
        WeightsError: if it is not in the safetensors format.
        OSError: if it cannot be read.
    """

    def __init__(self, *pieces: Path | Piece, parts: Parts = ()) -> None:
        self.parts = parts
        self._pieces = [p if isinstance(p, Piece) else Piece.whole(p) for p in pieces]
        *self._starts, self.size = accumulate((p.size for p in self._pieces), initial=0)
        start = bytes(self._read(0, min(8, self.size)))
        length = min(int.from_bytes(start, "little"), MAX_HEAD)
        self._places = read_head(self._read(0, min(8 + length, self.size)), self.size)

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """Type and shape of each tensor, by name."""
        return {name: place.tensor for name, place in self._places.items()}

    @property
    def numbers(self) -> int:
        """The bytes of all tensors together, without what describes them."""
        return self.size - min((place.start for place in self._places.values()), default=self.size)

    def blocks(self, most: int = BLOCK) -> Iterator[Block]:
        """Yield all tensors' numbers in blocks of at most so many."""
        for name, place in self._places.items():
            for first in range(0, place.tensor.length, most):
                yield Block(name, first, min(first + most, place.tensor.length))

    def read(self, block: Block) -> npt.NDArray[Any]:
        """Return a block's numbers, in one dimension."""
        tensor, start = self._places[block.name]
        dtype = np.dtype(tensor.dtype)
        first, last = (start + index * dtype.itemsize for index in (block.first, block.last))
        return np.frombuffer(self._read(first, last), dtype)

    def load(self) -> Weights:
        """Return the weights, as views of the mapped file where it is one."""
        if (path := self._path) is not None:
            return load(path)
        return read_from(self._read(0, self.size))

    def require_finite(self) -> None:
        """Check that no number is NaN or infinite.

        Raises:
            WeightsError: naming the first tensor with such a number.
        """
        for block in self.blocks():
            if self.tensors[block.name].is_float and not _are_finite(self.read(block)):
                raise _not_finite(block.name)

    def copy(self, path: Path) -> None:
        """Put the file at another path; as a second name of the same bytes where that can be."""
        if (own := self._path) is not None:
            with suppress(OSError):  # another file system
                os.link(own, path)
                return
        with path.open("wb") as out:
            self.write_to(out)

    def write_to(self, out: BinaryIO) -> None:
        """Write the whole file to a stream."""
        for first in range(0, self.size, _POURED):
            out.write(self._read(first, min(first + _POURED, self.size)))

    def drop_page_cache(self) -> None:
        """Give back the memory that the file is kept in; who reads it again reads the disk."""
        for piece in self._pieces:
            with suppress(OSError), piece.path.open("rb") as source:
                os.posix_fadvise(source.fileno(), piece.start, piece.size, os.POSIX_FADV_DONTNEED)

    def pieces(self, first: int, last: int) -> list[Piece]:
        """Return where the bytes between two of the file's lie."""
        some = slice(bisect_right(self._starts, first) - 1, bisect_left(self._starts, last))
        return [
            piece.within(first - start, last - start)
            for start, piece in zip(self._starts[some], self._pieces[some], strict=True)
        ]

    @property
    def _path(self) -> Path | None:
        """The file that this is all of, if there is one."""
        (piece, *others) = self._pieces
        return None if others or piece != Piece.whole(piece.path, piece.lease) else piece.path

    def _read(self, first: int, last: int) -> memoryview:
        found, at = np.empty(last - first, np.uint8).data, 0
        for piece in self.pieces(first, last):
            source = os.open(piece.path, os.O_RDONLY | os.O_CLOEXEC)  # for every block: no object
            try:
                read = os.preadv(source, [found[at : at + piece.size]], piece.start)
            finally:
                os.close(source)
            if read != piece.size:
                raise WeightsError(f"{piece.path.name} is shorter than it was")
            at += piece.size
        return found


class Watch:
    """Looks for NaN and infinite numbers in a file that passes by, piece by piece.

    Args:
        tensors: what it holds.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        start, self._size = file_form(tensors)
        places = read_head(start, self._size)
        self._places = list(places.items())
        self._starts = [place.start for place in places.values()]
        self._seen = dict[int, int]()  # bytes by where they begin
        self._bad: set[str] = set()
        self._torn: set[str] = set()  # a number lies in two pieces

    def look(self, at: int, data: memoryview) -> None:
        """Look at bytes of the file, of which the first is its byte ``at``: in any order."""
        end = at + len(data)
        self._seen[at] = len(data)
        some = slice(max(0, bisect_right(self._starts, at) - 1), bisect_left(self._starts, end))
        for name, (tensor, start) in self._places[some]:
            first, last = max(start, at), min(start + tensor.size, end)
            if not tensor.is_float or first >= last:
                continue
            dtype = np.dtype(tensor.dtype)
            if (first - start) % dtype.itemsize or (last - start) % dtype.itemsize:
                self._torn.add(name)
            elif not _are_finite(np.frombuffer(data[first - at : last - at], dtype)):
                self._bad.add(name)

    def require_finite(self, file: WeightFile) -> None:
        """Check that no number of a file is NaN or infinite; it is read if not all has passed by.

        Raises:
            WeightsError: naming the first tensor with such a number.
        """
        whole = sum(self._seen.values()) == self._size
        if self._torn or not whole or self._places != list(file._places.items()):
            file.require_finite()
        elif bad := [name for name, _ in self._places if name in self._bad]:
            raise _not_finite(bad[0])


def _are_finite(numbers: npt.NDArray[Any]) -> bool:
    return bool(np.isfinite(numbers).all())


def _not_finite(name: str) -> WeightsError:
    return WeightsError(f"tensor {name} has NaN or infinite values")


class Draft:
    """A file of weights that is being written, in blocks of any order.

    Args:
        out: the file.
        tensors: what it will hold.

    Raises:
        WeightsError: as :func:`head`.
    """

    def __init__(self, out: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
        start, size = file_form(tensors)
        self._places = read_head(start, size)
        self._out = out
        os.pwrite(out.fileno(), start, 0)
        os.truncate(out.fileno(), size)

    def write(self, block: Block, numbers: npt.NDArray[Any]) -> None:
        """Write a block's numbers, as the tensor's type."""
        tensor, start = self._places[block.name]
        data = np.ascontiguousarray(numbers, tensor.dtype)
        os.pwrite(self._out.fileno(), data.data, start + block.first * data.itemsize)

    @property
    def path(self) -> Path:
        """Where the file is, while it is being written."""
        return Path(self._out.name)

    def sync(self) -> None:
        """Wait until the disk has what was written.

        Raises:
            OSError: if it does not take it; the disk may say so only once.
        """
        os.fdatasync(self._out.fileno())
