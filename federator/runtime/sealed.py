"""Weights in sealed memory: what was checked is what is sent, since nobody can change it any more.

A memory file (``memfd_create``) is filled, then sealed (``F_SEAL_WRITE``). Its descriptor passes
between a site's two processes; its bytes pass straight between it and the network.
"""

import fcntl
import mmap
import os
from collections.abc import Callable
from typing import Self

from federator.runtime.weights import Weights, WeightsError, read_from, write

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class NotSealed(Exception):
    """Memory that somebody could still change."""


class Sealed:
    """Weights in a sealed memory file, which is let go with this object.

    Args:
        fd: the file's descriptor; from now on this object's.

    Attributes:
        buffer: the whole file, in the safetensors format.
        weights: views of it.

    Raises:
        NotSealed: if the file can still be changed.
        WeightsError: if it does not hold weights.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError:
            seals = 0
        if seals & _SEALS != _SEALS:
            raise NotSealed
        if (length := os.fstat(fd).st_size) == 0:
            raise WeightsError("not weights in the safetensors format (empty)")
        mapped = mmap.mmap(fd, length, prot=mmap.PROT_READ)
        mapped.madvise(mmap.MADV_SEQUENTIAL)  # or the kernel keeps book of what was read last
        self.buffer = memoryview(mapped)
        self.weights: Weights = read_from(self.buffer)

    def __del__(self) -> None:
        os.close(self.fd)

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """Return a sealed copy of weights."""
        fd = _memory()
        try:
            with os.fdopen(os.dup(fd), "wb") as out:
                write(out, weights)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(fd)
            raise
        return cls(fd)

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


def _memory() -> int:
    return os.memfd_create("weights", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
