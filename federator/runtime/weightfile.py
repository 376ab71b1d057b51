"""Weights on disk, read and written block by block: memory does not depend on the model's size.

A file of weights is a safetensors file, or the consecutive parts of one.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.weights import (
    MAX_HEAD,
    Tensor,
    Weights,
    WeightsError,
    head,
    load,
    read_from,
    read_head,
)

BLOCK = 2**16
"""How many numbers are in memory at a time. With a few times as many, the C library's allocator
asks the kernel for each block anew, which costs more than the arithmetic."""


class Block(NamedTuple):
    """Some consecutive numbers of a tensor."""

    name: str
    first: int
    last: int


class WeightFile:
    """Weights that stay on disk until they are asked for.

    Args:
        paths: the file, or its parts in their order.

    Raises:
        WeightsError: if it is not in the safetensors format.
        OSError: if it cannot be read.
    """

    def __init__(self, *paths: Path) -> None:
        self.paths = paths
        ends = np.cumsum([path.stat().st_size for path in paths])
        self._ends: list[int] = [int(end) for end in ends]
        self.size = self._ends[-1]
        start = bytes(self._read(0, min(8, self.size)))
        length = min(int.from_bytes(start, "little"), MAX_HEAD)
        self._places = read_head(self._read(0, min(8 + length, self.size)), self.size)[0]

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
        if len(self.paths) == 1:
            return load(self.paths[0])[0]
        return read_from(self._read(0, self.size))[0]

    def require_finite(self) -> None:
        """Check that no number is NaN or infinite.

        Raises:
            WeightsError: naming the first tensor with such a number.
        """
        for block in self.blocks():
            is_float = self.tensors[block.name].is_float
            if is_float and not np.isfinite(self.read(block)).all():
                raise WeightsError(f"tensor {block.name} has NaN or infinite values")

    def copy(self, path: Path) -> None:
        """Put the file at another path; as a second name of the same bytes where that can be."""
        if len(self.paths) == 1:
            with suppress(OSError):  # another file system
                os.link(self.paths[0], path)
                return
        with path.open("wb") as out:
            self.pour(out)

    def pour(self, out: BinaryIO) -> None:
        """Write the whole file to a stream."""
        for path in self.paths:
            with path.open("rb") as source:
                shutil.copyfileobj(source, out, BLOCK)

    def _read(self, first: int, last: int) -> memoryview:
        found = np.empty(last - first, np.uint8).data
        start = 0
        for path, end in zip(self.paths, self._ends, strict=True):
            if start < last and first < end:
                inside = slice(max(first, start), min(last, end))
                with path.open("rb", buffering=0) as source:
                    source.seek(inside.start - start)
                    read = source.readinto(found[inside.start - first : inside.stop - first])
                if read != inside.stop - inside.start:
                    raise WeightsError(f"{path.name} is shorter than it was")
            start = end
        return found


class Draft:
    """A file of weights that is being written, in blocks of any order.

    Args:
        out: the file.
        tensors: what it will hold.
        metadata: what else it says.

    Raises:
        WeightsError: as :func:`head`.
    """

    def __init__(
        self, out: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
    ) -> None:
        start = head(tensors, metadata)
        size = sum(tensor.length * np.dtype(tensor.dtype).itemsize for tensor in tensors.values())
        self._places = read_head(start, len(start) + size)[0]
        self._out = out.fileno()
        os.pwrite(self._out, start, 0)
        os.truncate(self._out, len(start) + size)

    def write(self, block: Block, numbers: npt.NDArray[Any]) -> None:
        """Write a block's numbers, as the tensor's type."""
        tensor, start = self._places[block.name]
        data = np.ascontiguousarray(numbers, tensor.dtype)
        os.pwrite(self._out, data.data, start + block.first * data.itemsize)
