"""A file of JSON lines, each with a hash over all lines before it: a hash chain.

The last member of a line is ``chain``: SHA-256 of the ``chain`` of the line before it (64 hex
digits; zeros for the first line) followed by the line's bytes up to that member. So a line that
is changed, removed, added or moved no longer fits. Who changes lines can compute the hashes anew:
what prevents that are signatures over them (signatures.py).

Lines are appended under a lock, in one write. What a crash left of a half line is cut off by the
next write; a reader takes complete lines only.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from federator.runtime.files import sha256

BEGINNING = "0" * 64
"""What stands before the first line."""
_END = re.compile(rb', "chain": "([0-9a-f]{64})"}')
_LENGTH = len(', "chain": ""}') + 64


@dataclass(frozen=True)
class ChainedLine:
    """A line that fits to those before it.

    Attributes:
        number: from 1.
        before: the hash of the line before it.
        body: its bytes up to its hash, without the closing brace.
        chain: its hash.
        fields: what it says.
    """

    number: int
    before: str
    body: bytes
    chain: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class Lines:
    """What was found in a file.

    Attributes:
        good: the lines that fit, up to the first that does not.
        broken: the number of that one, from 1; 0 if all fit.
        is_cut: whether the file ends within a line: a crash leaves that, or it is being written.
    """

    good: list[ChainedLine]
    broken: int = 0
    is_cut: bool = False

    @property
    def chain(self) -> str:
        """The hash of the last line that fits."""
        return self.good[-1].chain if self.good else BEGINNING

    @property
    def fault(self) -> tuple[int, str] | None:
        """The first line that is wrong, by its number, and why; None if all fit."""
        if self.broken:
            what = "does not fit to the lines before: it was changed, or one before it is not there"
            return self.broken, what
        return (len(self.good) + 1, "is cut off: it has no end") if self.is_cut else None


class Appending:
    """A file that nobody else appends to meanwhile.

    Attributes:
        before: the hash of its last line.
    """

    def __init__(self, file: FileIO) -> None:
        self._file = file
        self._size = _mended(file)
        self.before = _last(file, self._size)

    def write(self, body: bytes, durable: bool = False) -> str:
        """Append a line; return its hash.

        Args:
            body: the line's bytes as :func:`body_of` returns them.
            durable: whether the line is on the disk afterwards, even if the power fails.

        Raises:
            OSError: if it cannot be written; then the file is as it was.
        """
        chain = chain_of(self.before, body)
        line = body + f', "chain": "{chain}"}}\n'.encode()
        try:
            if self._file.write(line) != len(line):
                raise OSError(28, "No space left on device")
            if durable:
                os.fsync(self._file.fileno())
        except OSError:
            os.ftruncate(self._file.fileno(), self._size)
            raise
        self.before, self._size = chain, self._size + len(line)
        return chain


@contextmanager
def appending(path: Path) -> Iterator[Appending]:
    """Open a file, or make it, to append lines to it; wait while somebody else does.

    Raises:
        OSError: if it cannot be opened.
    """
    with path.open("a+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield Appending(file)


def append(path: Path, fields: Mapping[str, object], durable: bool = False) -> str:
    """Append a line to a file; return its hash.

    Raises:
        OSError: if it cannot be written; then the file is as it was.
    """
    with appending(path) as file:
        return file.write(body_of(fields), durable)


def body_of(fields: Mapping[str, object]) -> bytes:
    """Return a line's bytes up to its hash; there is at least one field."""
    return json.dumps(fields).encode()[:-1]


def chain_of(before: str, body: bytes) -> str:
    """Return the hash of a line, given that of the line before it."""
    return sha256(before.encode(), body)


def head(path: Path) -> str:
    """Return the hash of the last complete line of a file; of none, what stands before the first.

    Raises:
        OSError: if the file is there and cannot be read.
    """
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        return BEGINNING
    with file:
        content = _tail(file, os.fstat(file.fileno()).st_size)
        if not content.endswith(b"\n"):  # half a line: of a crash, or just being written
            content = file.read()
            content = content[: content.rfind(b"\n") + 1]
    return _hash_in(content[:-1][-_LENGTH:])


def note(count: int, chain: str) -> str:
    """Return what is noted elsewhere of a file: how many lines it has, and the hash of the last."""
    return f"{count} {chain}\n"


def noted(text: str) -> tuple[int, str]:
    """Return what a note says; 0 lines where it says nothing."""
    number, _, chain = text.strip().partition(" ")
    return (int(number) if number.isdecimal() else 0), chain


def read(content: bytes) -> Lines:
    """Return the lines of a file that fit to those before them, and where the first does not."""
    *lines, rest = content.split(b"\n")
    good: list[ChainedLine] = []
    before = BEGINNING
    for number, line in enumerate(lines, 1):
        body, end = line[:-_LENGTH], _END.fullmatch(line[-_LENGTH:])
        chain = chain_of(before, body)
        fields = _fields(line)
        if end is None or end[1].decode() != chain or fields is None:
            return Lines(good, number)
        good.append(ChainedLine(number, before, body, chain, fields))
        before = chain
    return Lines(good, is_cut=bool(rest))


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _mended(file: FileIO) -> int:
    """Cut off a last line that a crash left half-written; return the file's size then."""
    size = os.fstat(file.fileno()).st_size
    if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
        file.seek(0)
        size = file.read().rfind(b"\n") + 1
        os.ftruncate(file.fileno(), size)
    return size


def _last(file: FileIO, size: int) -> str:
    """Return the hash in the last line; what stands before the first line, if it has none."""
    return _hash_in(_tail(file, size)[:-1])


def _tail(file: FileIO, size: int) -> bytes:
    return os.pread(file.fileno(), _LENGTH + 1, max(0, size - _LENGTH - 1))


def _hash_in(end: bytes) -> str:
    found = _END.fullmatch(end)
    return found[1].decode() if found else BEGINNING
