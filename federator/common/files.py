"""Folders that appear complete or not at all, and zips that are unpacked into one."""

import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from federator.errors import FederatorError, Problem, Where

_FILES = 1000  # a report has five: so many are none of ours
# What zipfile makes of damaged ones; with a password RuntimeError, of an empty name IndexError.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, LookupError)
_NAME = re.compile(r"(?![. ])[\w .()+=@,-]+(/(?![. ])[\w .()+=@,-]+)*", re.ASCII)


@contextmanager
def renewed(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, and put it in this one's place if the block succeeds.

    Raises:
        OSError: if a folder cannot be made or moved; what was there before is there still.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise


def unpack(file: IO[bytes], folder: Path, limit: int) -> tuple[str, ...]:
    """Unpack a zip into a folder, which then holds just that; return the names of its files.

    Raises:
        FederatorError: if it is no zip, holds more bytes than the limit, or a file whose name
            might lead elsewhere; the folder is as it was.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            _check(entries, limit)
            with renewed(folder) as new:
                for entry in entries:
                    path = new / entry.filename
                    path.parent.mkdir(parents=True, exist_ok=True)
                    # Never more bytes than the entry states; and a link becomes a file.
                    with archive.open(entry) as source, path.open("xb") as target:
                        shutil.copyfileobj(source, target)
    except _DAMAGED:
        raise FederatorError("the downloaded zip is damaged: nothing was written") from None
    except OSError as error:
        where = Where(str(error.filename or folder))
        raise FederatorError(Problem(f"cannot be written: {error.strerror}", where)) from None
    return tuple(sorted(entry.filename for entry in entries))


def _check(entries: list[zipfile.ZipInfo], limit: int) -> None:
    size = sum(entry.file_size for entry in entries)
    if size > limit or len(entries) > _FILES:
        what = f"{len(entries)} files of {size} bytes, more than {_FILES} of {limit}"
        raise FederatorError(f"the zip holds {what}: nothing was written")
    for entry in entries:
        if not _NAME.fullmatch(entry.filename):
            raise FederatorError(f"the zip holds {entry.filename!a}: nothing was written")
