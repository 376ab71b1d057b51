"""Which instructions a site has followed: each once, also after its link was started again.

A line for each in a file beside the site's key: the signature's SHA-256 and when it lapses. It is
on disk before the instruction is done, and stays for as long as a message could repeat it.
"""

import time
from pathlib import Path

from federator.runtime.files import append, replaced, sha256
from federator.runtime.protocol.instructions import InstructionError

LONGEST = 7 * 24 * 3600.0
"""Seconds for which an instruction may hold: so long is it remembered."""
_MANY = 1000  # lines, after which those are taken out that have lapsed
_SKEW = 3600.0  # seconds by which a clock may be set back


class Followed:
    """Remembers instructions by their signatures.

    Args:
        file: where; None to remember them no longer than this object lives.

    Raises:
        OSError: if the file cannot be read or written.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lapses: dict[str, float] = {}
        self._lines = 0  # in the file
        if file is not None:
            if file.exists():
                self._lapses = _read(file.read_bytes())
            self._forget()
            self._write()

    def note(self, signature: bytes, expires: float) -> None:
        """Remember an instruction that is now going to be followed.

        Raises:
            InstructionError: if it was followed before, holds for too long, or cannot be
                remembered.
        """
        key, now = sha256(signature), time.time()
        if expires > now + LONGEST:
            raise InstructionError("the instruction holds for more than 7 days")
        if key in self._lapses:
            raise InstructionError("this instruction was followed before")
        try:
            if self._lines >= max(_MANY, 2 * self._forget()):
                self._write()
            self._append(key, expires)
        except OSError as error:
            what = f"it cannot be noted as followed ({error.strerror}: {self._file})"
            raise InstructionError(what) from None
        self._lapses[key] = expires

    def _forget(self) -> int:
        """Forget what has lapsed; return how many are left."""
        before = time.time() - _SKEW
        self._lapses = {key: lapse for key, lapse in self._lapses.items() if lapse > before}
        return len(self._lapses)

    def _append(self, key: str, expires: float) -> None:
        if self._file is None:
            return
        self._lines += 1
        append(self._file, _line(key, expires))

    def _write(self) -> None:
        if self._file is not None:
            with replaced(self._file) as out:
                self._lines = len(self._lapses)
                out.writelines(_line(key, expires) for key, expires in self._lapses.items())


def _line(key: str, expires: float) -> bytes:
    return f"{key} {expires:.3f}\n".encode()


def _read(content: bytes) -> dict[str, float]:
    """Return what a file says; a line that was cut off, when the machine stopped, says nothing."""
    found = {}
    for line in content.decode(errors="replace").splitlines():
        key, _, expires = line.partition(" ")
        try:
            found[key] = float(expires)
        except ValueError:
            continue
    return found
