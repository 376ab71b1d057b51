"""What a site has been asked so far, by version of the app and in all: its budget's account.

A file beside the site's key, on disk before an instruction is followed, so that a link that is
started again goes on counting. A file that cannot be read is an error and never an empty account.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from federator.errors import InputError, Problem, Where
from federator.runtime import files

_LARGEST = 2**20  # bytes
ALL = "all"
"""Under what is counted that any version of the app was asked."""
ROUNDS = "rounds"
"""What training is counted as; an evaluation, as its set."""


class Ledger:
    """Counts what was asked, such as ``rounds`` or ``val``, by version of the app.

    Args:
        file: where; None to remember it no longer than this object lives.

    Raises:
        InputError: if the file is none of this kind, or cannot be written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._counts: dict[str, dict[str, int]] = {}
        if file is not None:
            try:
                if file.exists():
                    self._counts = _read(file)
                self._write()
            except OSError as error:
                what = f"what was asked cannot be counted: {error.strerror}"
                hint = "the folder of the site's key must be writable"
                raise InputError(Problem(what, Where(str(file)), hint)) from None

    @classmethod
    def look(cls, file: Path) -> "Ledger":
        """Return what a file says, without touching it; an empty account, if there is none.

        Raises:
            InputError: if it is none of this kind.
        """
        found = cls()
        try:
            found._counts = _read(file) if file.exists() else {}
        except OSError as error:
            raise InputError(
                Problem(f"cannot be read: {error.strerror}", Where(str(file)))
            ) from None
        return found

    def count(self, app: str, what: str) -> int:
        """Return how often a version of the app, or any (:data:`ALL`), was asked for something."""
        return self._counts.get(app, {}).get(what, 0)

    def add(self, app: str, asked: Iterable[str]) -> None:
        """Count what is going to be done, once each.

        Raises:
            OSError: if it cannot be written; then nothing may be done.
        """
        for what in asked:
            for name in (app, ALL):
                counts = self._counts.setdefault(name, {})
                counts[what] = counts.get(what, 0) + 1
        self._write()

    def _write(self) -> None:
        if self._file is not None:
            files.write(self._file, json.dumps(self._counts, sort_keys=True) + "\n", 0o600)


def _read(file: Path) -> dict[str, dict[str, int]]:
    """Return the counts in a file.

    Raises:
        InputError: if it is none.
        OSError: if it cannot be read.
    """
    content = file.read_bytes()
    try:
        found = json.loads(content[:_LARGEST])
        if not isinstance(found, Mapping) or not all(map(_is_account, found.values())):
            raise ValueError
    except (ValueError, RecursionError):
        hint = "put back a copy of it; to begin anew: remove it, and with it what it counted"
        raise InputError(
            Problem("is no account of what was asked", Where(str(file)), hint)
        ) from None
    return {app: dict(counts) for app, counts in found.items()}


def _is_account(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(what, str) and type(count) is int and count >= 0 for what, count in value.items()
    )
