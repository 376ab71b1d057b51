"""The memory that a site's two processes share: the model, and then the worker's update over it.

The link makes it, receives every model into the same one, and passes on its descriptor: getting
fresh memory for a large model, and giving it back, costs as much as receiving it. Its length is
sealed, so that neither can pull it from under the other. The worker may write to it, at any time:
so the link believes nothing that stands there but numbers, which are the worker's to choose.
"""

import fcntl
import mmap
import os
from collections.abc import Mapping
from typing import NamedTuple, Self

from federator.runtime.weights.encoding import EXACT, MASKED, update_form
from federator.runtime.weights.format import (
    Tensor,
    Weights,
    WeightsError,
    describe,
    file_form,
    file_size,
    read_from,
    write,
)

_FIXED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


class Memory:
    """A memory file, which is let go with this object.

    Args:
        fd: its descriptor; from now on this object's.

    Attributes:
        buffer: the whole of it, writable; for weights in the safetensors format.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._mapped = mmap.mmap(fd, os.fstat(fd).st_size)
        self.buffer = memoryview(self._mapped)

    @classmethod
    def new(cls, size: int) -> Self:
        """Return so many bytes, at least one, of which the number is fixed; zeros at first."""
        fd = os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _FIXED)
        return cls(fd)

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """Return memory with weights in it."""
        memory = cls.new(file_size(describe(weights)))
        memory.fill(weights)
        return memory

    def __del__(self) -> None:
        os.close(self.fd)

    def fill(self, weights: Weights) -> None:
        """Write weights, none of them a view of what is there; they fill it to the byte.

        Raises:
            WeightsError: if they do not, or cannot be written.
        """
        if (size := file_size(describe(weights))) != len(self.buffer):
            raise WeightsError(f"{size} bytes of weights for {len(self.buffer)} of memory")
        self._mapped.seek(0)
        write(self._mapped, weights)

    @property
    def weights(self) -> Weights:
        """Views of what is in it now, read-only.

        Raises:
            WeightsError: if that is no weights.
        """
        return read_from(self.buffer)


class Update(NamedTuple):
    """An update as it leaves: numbers as they stand in memory, and before them the link's bytes.

    Attributes:
        head: what stands before the numbers, as follows from the model.
        memory: where the worker has written it; of what stands before the numbers there, nothing
            leaves.
    """

    head: bytes
    memory: Memory

    @classmethod
    def place(cls, model: Memory, tensors: Mapping[str, Tensor], encoding: str) -> Self:
        """Return where a worker is to write its update: over the model, if it fits.

        One with fewer digits has memory of its own, so that parts of the model can stay; and one
        that is masked afterwards, since the difference to the model is.

        Args:
            model: the model.
            tensors: what that holds.
            encoding: how the update travels.
        """
        form = dict(tensors) if encoding == MASKED else update_form(tensors, encoding)
        start, length = file_form(form)
        over = encoding == EXACT and length == len(model.buffer)
        return cls(start, model if over else Memory.new(length))

    @property
    def size(self) -> int:
        """The bytes of it all."""
        return len(self.memory.buffer)

    @property
    def weights(self) -> Weights:
        """Views of the numbers."""
        return read_from(self.memory.buffer, self.head)

    @property
    def has_head(self) -> bool:
        """Whether the worker has written the same before its numbers."""
        return self.memory.buffer[: len(self.head)] == self.head

    def read(self, where: slice) -> list[memoryview]:
        """Return some of its bytes, in pieces, so that they need not be copied."""
        data, own = self.memory.buffer[where], self.head[where]
        return [memoryview(own), data[len(own) :]] if own else [data]
