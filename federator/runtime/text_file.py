"""Text files that people hand over: keys and certificates, as editors on any system save them.

An editor on Windows may begin a file with a byte order mark, or write it as UTF-16; then no
library finds the key in it.
"""

import codecs
from pathlib import Path

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


def plain(content: bytes, name: str) -> bytes:
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


def read(path: Path) -> bytes:
    """Return the text in a file, as :func:`plain` does.

    Raises:
        OSError: if it cannot be read.
        InputError: if it has the mark of an encoding, but is not in it.
    """
    return plain(path.read_bytes(), str(path))


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
