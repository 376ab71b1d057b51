"""Files: written so that they are complete or unchanged, read whatever their encoding, compared.

Text files that people hand over (keys, certificates) come as editors on any system save them. An
editor on Windows may begin a file with a byte order mark, or write it as UTF-16; then no library
finds the key in it.

A file's fingerprint is for two people to compare by telephone: the first 128 bits of its SHA-256,
in groups of four. Six letters that do not sound alike replace the letters of the hexadecimal
digits, which do. Anyone can compute it without trusting this program: see ``COMMAND``. All of the
file counts, comments included, except for how its lines end.
"""

import codecs
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from federator.errors import InputError, Problem

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    # Before UTF-16, whose mark is the first half of this one.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_HINT = "save it as UTF-8, without a byte order mark, or as plain ASCII"

_DIGITS = str.maketrans("abcdef", "KMRWXY")

COMMAND = r"sed 's/\r$//' {} | sha256sum | cut -c1-32 | tr a-f KMRWXY | fold -w4 | paste -sd' ' -"
"""What prints the fingerprint of the file ``{}`` in a shell."""


@contextmanager
def replaced(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Yield a stream whose content replaces a file if the block succeeds: write, fsync, rename.

    Args:
        path: the file; if the block fails, it stays as it was.
        mode: the permissions of the new file, less the umask.

    Raises:
        OSError: if the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.part")
    partial.unlink(missing_ok=True)  # of a process that was killed
    try:
        # By an opener, so that the stream knows its path, which Draft maps again.
        with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else the new name may be lost
    finally:
        os.close(folder)


def write(path: Path, content: str | bytes, mode: int = 0o666) -> None:
    """Replace a file by one with this content, a text in UTF-8; it is complete or as it was.

    Raises:
        OSError: if the file cannot be written.
    """
    with replaced(path, mode) as out:
        out.write(content.encode() if isinstance(content, str) else content)


def append(path: Path, content: bytes) -> None:
    """Append to a file, or make it; the content is on the disk afterwards, if the power fails, too.

    Raises:
        OSError: if the file cannot be written.
    """
    with path.open("ab") as out:
        out.write(content)
        out.flush()
        os.fdatasync(out.fileno())


def whole_lines(path: Path) -> list[bytes]:
    """Return a file's lines; one that was cut off, when the machine stopped, is taken away.

    Raises:
        OSError: if the file cannot be read, or be cut.
    """
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        os.truncate(path, len(whole))
    return whole.split(b"\n")[:-1]


def write_secret(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner may read; it is complete or as it was.

    Raises:
        InputError: if it cannot be written.
    """
    try:
        write(path, content, mode=0o600)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def as_utf8(content: bytes, name: str) -> bytes:
    """Return a text as UTF-8 without a byte order mark, however it was saved.

    What is no text, such as a certificate in DER, is returned as it is.

    Args:
        content: the file's.
        name: what to call it.

    Raises:
        InputError: if it has the mark of an encoding, but is not in it.
    """
    encoding, text = _encoding(content)
    if encoding is None:
        return content
    try:
        return text.decode(encoding).lstrip("\ufeff").encode()
    except UnicodeError:
        message = f"{name}: is saved as {encoding[:6].upper()}, and damaged"
        raise InputError(Problem(message, hint=_HINT)) from None


def read_text_file(path: Path) -> bytes:
    """Return the text in a file as :func:`as_utf8` does.

    Raises:
        OSError: if it cannot be read.
        InputError: if it has the mark of an encoding, but is not in it.
    """
    return as_utf8(path.read_bytes(), str(path))


def _encoding(content: bytes) -> tuple[str | None, bytes]:
    """Return the encoding that a text shows by its first bytes, and what is after the mark."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding, content[len(mark) :]
    head = content[:64]
    # A key and a certificate are ASCII: as UTF-16 without a mark every other byte is zero.
    if len(head) >= 2 and not len(content) % 2:
        for zeros, letters, encoding in (
            (head[1::2], head[::2], "utf-16-le"),
            (head[::2], head[1::2], "utf-16-be"),
        ):
            if not any(zeros) and all(letters) and letters.isascii():
                return encoding, content
    return None, content


def sha256(*data: bytes | memoryview) -> str:
    """Return the SHA-256 (hex) of bytes, which may come in pieces."""
    total = hashlib.sha256()
    for piece in data:
        total.update(piece)
    return total.hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 (hex) of a file, which is read in pieces.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def fingerprint(content: bytes) -> str:
    """Return the fingerprint of a file's content: eight groups of four."""
    digits = sha256(re.sub(rb"\r(?=\n|\Z)", b"", content))[:32]
    return " ".join(re.findall("....", digits.translate(_DIGITS)))
