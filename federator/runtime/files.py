"""Files that are complete or absent, whenever a process or the power fails."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
        with os.fdopen(descriptor, "wb") as out:
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
