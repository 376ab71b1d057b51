"""What a message says of weights that travel as files beside it: where they are, and their hashes.

A file of weights is cut into parts of one size, the last one shorter. A part that the other side
has already, as its hash tells, does not travel, nor does one of zeros: so tensors that training
leaves as they are (a frozen backbone) cost nothing after the first time.

A capability is the unguessable name of a folder: who has it may read the model there, or write the
parts of an update. It is made for one question to the sites, and gone when that is answered.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

from federator.runtime.files import sha256
from federator.runtime.untrusted import MALFORMED, read_json

STEPS = (2**20, 2**22, 2**24)
"""How many bytes a part has; of a smaller file less, so that more of it may be known already."""
_PARTS = 32  # that a file is cut into at most, before they are made longer
_MOST = 10_000  # parts have four digits
MOST_TEXT = 2**20
"""The most characters that a list of parts takes, or a message's text on its files."""
# The layout of the server's store, which links read and write through the gateway or in a folder.
MODEL = "model"
DOWN, UP, SLOTS, ARRIVING, COUNTERS = "down", "up", "slots", "arriving", "counters"
COUNTER_SIZE = 8
"""How many bytes a notification counter has."""
_CAPABILITY, _SHA256 = re.compile("[0-9a-f]{32}"), re.compile("[0-9a-f]{64}")


class ManifestError(ValueError):
    """What a message says of its weights is not of the form that it must have."""


class Part(NamedTuple):
    """A part of a file: its number of bytes and their SHA-256 (hex)."""

    size: int
    sha256: str


Parts = tuple[Part, ...]


def step(size: int) -> int:
    """Return how many bytes a part of a file of this size has; the last one may have fewer."""
    return next((one for one in STEPS if size <= one * _PARTS), STEPS[-1])


def name(number: int, size: int) -> str:
    """Return the name of the file that takes a part, of a file of this size.

    It says how many MiB it may take, which the gateway holds it to.
    """
    return f"{number:04d}.{step(size) >> 20}"


def cut(size: int) -> list[slice]:
    """Return the parts of a file as slices of its bytes."""
    length = step(size)
    return [slice(start, min(start + length, size)) for start in range(0, size, length)]


@cache
def zeros(size: int) -> Part:
    """Return the part that is so many zeros: everybody has it, so it does not travel."""
    return Part(size, sha256(memoryview(bytes(size))))


def is_capability(text: object) -> bool:
    """Return whether it is of a capability's form, which no message can make lead elsewhere."""
    return isinstance(text, str) and _CAPABILITY.fullmatch(text) is not None


def write_parts(parts: Parts) -> str:
    """Return a list of parts as JSON."""
    return json.dumps(parts)


def read_parts(text: str) -> Parts:
    """Return the list of parts that is written in JSON.

    Raises:
        ManifestError: if it is not one.
    """
    try:
        return _checked(read_json(text, MOST_TEXT))
    except MALFORMED as error:
        raise ManifestError(f"not a list of parts: {type(error).__name__}") from None


def _checked(found: object) -> Parts:
    if not isinstance(found, list):
        raise ValueError
    parts = tuple(Part(size, hashed) for size, hashed in found)
    if not 0 < len(parts) <= _MOST:
        raise ValueError
    for part in parts:
        if type(part.size) is not int or not 0 < part.size <= STEPS[-1]:
            raise ValueError
        if not _SHA256.fullmatch(part.sha256):
            raise ValueError
    lengths = [where.stop - where.start for where in cut(total_size(parts))]
    if [part.size for part in parts] != lengths:
        raise ValueError
    return parts


def total_size(parts: Parts) -> int:
    """Return the bytes of all parts together."""
    return sum(part.size for part in parts)


def is_known(number: int, part: Part, size: int, other: Parts) -> bool:
    """Return whether somebody has a part of a file of this size who has the file of another list.

    Zeros everybody has; else the part must be at the same place of that file.
    """
    if part == zeros(part.size):
        return True
    same_place = number == 0 or (number < len(other) and other[0].size == step(size))
    return same_place and part in other[number : number + 1]


def travelled(parts: Parts, other: Parts) -> int:
    """Return the bytes of the parts that somebody does not have who has the other file."""
    size = total_size(parts)
    return sum(p.size for n, p in enumerate(parts) if not is_known(n, p, size, other))


@dataclass(frozen=True)
class PartsManifest:
    """The weights that come with an instruction, and where those that it asks for go.

    Attributes:
        down: the capability under which the weights are read.
        parts: the parts of that file.
        up: the capability under which an update is written; empty if none is asked for.
    """

    down: str
    parts: Parts
    up: str = ""

    @property
    def size(self) -> int:
        """The bytes of all parts together."""
        return total_size(self.parts)

    def write(self) -> str:
        """Return the manifest as JSON, which is signed: by the hashes, every bit of the weights."""
        return json.dumps([self.down, self.up, self.parts])

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the manifest that is written in JSON.

        Raises:
            ManifestError: if it is not one.
        """
        try:
            found = read_json(text, MOST_TEXT)
            if not isinstance(found, list):
                raise ValueError
            down, up, table = found
            if not is_capability(down) or (up != "" and not is_capability(up)):
                raise ValueError
            return cls(down, _checked(table), up)
        except MALFORMED as error:
            raise ManifestError(f"not a manifest: {type(error).__name__}") from None


Look = Callable[[int, memoryview], None]
"""Sees bytes of a file that passes by, and where in it the first of them is."""
_AT_ONCE = 4  # hashing frees the interpreter's lock, so cores work side by side
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
    """Return the list of a file's parts."""
    spans = [Span(path, part, part.start) for part in cut(path.stat().st_size)]
    return tuple(hashed.part for hashed in hash_spans(spans))
