"""Disk space: checked before it is needed, and freed in the background."""

import atexit
import shutil
import weakref
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread

from federator.errors import RunError

_SPARE = 64 * 2**20  # bytes: for the journal, the logs and Flower's database
_to_remove: SimpleQueue[Path | Event] = SimpleQueue()
_ending = Event()


class TemporaryFolder:
    """Removes a folder after its last reference is gone, in the background."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _remover()  # not when it is let go, which may be in the midst of anything
        weakref.finalize(self, _schedule_removal, folder)


def require_space(needed: Mapping[Path, int]) -> None:
    """Check that folders can take so many bytes each; those on one file system share its room.

    Raises:
        RunError: naming a folder, what is needed there, and what there is.
    """
    totals: Counter[int] = Counter()
    for folder, size in needed.items():
        device = folder.stat().st_dev
        totals[device] += size
        enough = totals[device] + _SPARE
        if enough > _free(folder):
            wait_for_removals()
        if enough > (free := _free(folder)):
            raise RunError(
                f"the disk of {folder} has {free / 1e9:.1f} GB free, and a round may need "
                f"{enough / 1e9:.1f} GB: make room, for example by removing old runs"
            )


def wait_for_removals() -> None:
    """Wait until the released folders are removed."""
    gone = Event()
    _remover()
    _to_remove.put(gone)
    gone.wait()


def _schedule_removal(folder: Path) -> None:
    if _ending.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _to_remove.put(folder)  # which takes no lock that whoever lets it go may hold


@atexit.register
def _end() -> None:
    _ending.set()
    if _remover.cache_info().currsize:
        wait_for_removals()


@cache
def _remover() -> Thread:
    thread = Thread(target=_remove, daemon=True)
    thread.start()
    return thread


def _remove() -> None:
    while True:
        one = _to_remove.get()
        if isinstance(one, Event):
            one.set()
        else:
            shutil.rmtree(one, ignore_errors=True)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
