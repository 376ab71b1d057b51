"""Weights in sealed memory, of which the descriptor passes between a site's two processes.

An update is sealed for good (``F_SEAL_WRITE``): what was checked is what is sent, since nobody can
change it any more. The model is sealed but for the link (``F_SEAL_FUTURE_WRITE``), which receives
the next one into the same memory: getting fresh memory for a large model, and giving it back, costs
as much as receiving it.
"""

import fcntl
import mmap
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from federator.runtime.weights import Weights, WeightsError, describe, file_size, read_from, write

_FIXED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_SEALS = _FIXED | fcntl.F_SEAL_WRITE
_FUTURE_WRITE = 0x10  # fcntl's F_SEAL_FUTURE_WRITE, which Python has a name for from 3.13 on


class NotSealed(Exception):
    """Memory that somebody could still change."""


class Sealed:
    """Weights in a sealed memory file, which is let go with this object.

    Args:
        fd: the file's descriptor; from now on this object's.
        trusting: whether whoever has made it may still change it, but for its length.

    Attributes:
        buffer: the whole file, in the safetensors format.
        weights: views of it.

    Raises:
        NotSealed: if the file can still be changed.
        WeightsError: if it does not hold weights.
    """

    def __init__(self, fd: int, trusting: bool = False) -> None:
        self.fd = fd
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError:
            seals = 0
        needed = _FIXED if trusting else _SEALS
        if seals & needed != needed:
            raise NotSealed
        if (length := os.fstat(fd).st_size) == 0:
            raise WeightsError("not weights in the safetensors format (empty)")
        self._mapped = mmap.mmap(fd, length, prot=mmap.PROT_READ)
        self._mapped.madvise(mmap.MADV_SEQUENTIAL)  # or the kernel keeps book of what was read last
        self.buffer = memoryview(self._mapped)
        self.weights: Weights = read_from(self.buffer)

    def __del__(self) -> None:
        os.close(self.fd)

    def unmap(self, where: slice) -> None:
        """Have bytes no longer count as this process's memory, until they are read again."""
        self._mapped.madvise(mmap.MADV_DONTNEED, where.start, where.stop - where.start)

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """Return a sealed copy of weights."""

        def fill(fd: int) -> None:
            with os.fdopen(os.dup(fd), "wb") as out:
                write(out, weights)

        return cls.filled(file_size(describe(weights)), fill)

    @classmethod
    def filled(cls, size: int, fill: Callable[[int], None]) -> Self:
        """Return so many bytes of sealed memory, after having its descriptor written to.

        (Writing costs half of what the page faults of a mapping would.)
        """
        fd = _memory()
        try:
            os.ftruncate(fd, size)
            fill(fd)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)


class Refillable:
    """Memory for weights that only this process can write to, again and again.

    (Before Linux 5.1 whoever gets its descriptor can, too.)

    Args:
        size: in bytes; they are zeros at first.

    Attributes:
        fd: the descriptor of the memory file, by which others can read it.
        buffer: the whole of it, writable.
    """

    def __init__(self, size: int) -> None:
        self.fd = _memory()
        os.ftruncate(self.fd, size)
        self.buffer = memoryview(mmap.mmap(self.fd, size))  # what is mapped now stays writable
        with suppress(OSError):
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _FUTURE_WRITE)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _FIXED)

    def __del__(self) -> None:
        os.close(self.fd)

    @property
    def weights(self) -> Weights:
        """Views of what is in it now.

        Raises:
            WeightsError: if that is no weights.
        """
        return read_from(self.buffer.toreadonly())


def _memory() -> int:
    return os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
