"""Hashing parts of files, several at once; who else has to see them does so meanwhile."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from federator.runtime.weights.parts import Part, Parts, cut

Look = Callable[[int, memoryview], None]
"""Sees bytes of a file that passes by, and where in it the first of them is."""
_AT_ONCE = 4
_READ = 2**18  # what is read is still in the processor's cache when it is hashed


class Span(NamedTuple):
    """Some bytes of a file, and where the first of them belongs in the whole."""

    path: Path
    within: slice
    at: int


class Hashed(NamedTuple):
    """What was in a span, and which file it was of."""

    part: Part
    file: tuple[int, ...]


def identity(file: os.stat_result) -> tuple[int, ...]:
    """Return what changes when a file is replaced or written to."""
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns


def hash_span(span: Span, look: Look | None = None) -> Hashed:
    """Return size and SHA-256 of a span; it may end sooner than it should."""
    hashed, size, buffer = hashlib.sha256(), 0, memoryview(bytearray(_READ))
    with span.path.open("rb", buffering=0) as source:
        file = identity(os.fstat(source.fileno()))
        source.seek(span.within.start)
        while read := source.readinto(buffer[: span.within.stop - span.within.start - size]):
            hashed.update(buffer[:read])
            if look is not None:
                look(span.at + size, buffer[:read])
            size += read
    return Hashed(Part(size, hashed.hexdigest()), file)


def hash_spans(spans: Sequence[Span], look: Look | None = None) -> list[Hashed]:
    """Return size and SHA-256 of each, several computed at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda span: hash_span(span, look), spans))


def hash_file(path: Path) -> Parts:
    """Return the table of a file's parts."""
    spans = [Span(path, part, part.start) for part in cut(path.stat().st_size)]
    return tuple(hashed.part for hashed in hash_spans(spans))
