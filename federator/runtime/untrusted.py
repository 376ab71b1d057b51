"""Reads what others have written: any malformed content raises one kind of error."""

import json

MALFORMED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
)
"""What taking apart something of another form than expected may raise, or its sheer size."""


def read_json(text: str | bytes, most: int) -> object:
    """Return what is written in JSON, of at most so many characters or bytes.

    Raises:
        ValueError: if it is longer, nested too deeply, or not JSON.
    """
    if len(text) > most:
        raise ValueError(f"it is longer than {most} characters")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def printable(text: str, most: int) -> str:
    """Return a text of another's as it may be shown: one line, bounded, no control characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: most + 1])
    shown = " ".join(shown.split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"
