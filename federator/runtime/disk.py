"""Room on disk: found out before it is needed, and given back while others go on."""

import shutil
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from federator.errors import RunError

_SPARE = 64 * 2**20
_REMOVER = ThreadPoolExecutor(1)


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
                f"the disk of {folder} has {free / 1e9:.1f} GB left, and a round may need "
                f"{enough / 1e9:.1f} GB: make room, for example of old runs"
            )


def remove(folder: Path) -> None:
    """Remove a folder, which takes a while if it is large: somewhen soon."""
    try:
        _REMOVER.submit(shutil.rmtree, folder, ignore_errors=True)
    except RuntimeError:  # the process is ending
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_removals() -> None:
    """Wait until all folders are gone that were to be removed."""
    _REMOVER.submit(int).result()


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
