"""Whether there is room on disk, found out before it is needed."""

import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from federator.errors import RunError

_SPARE = 64 * 2**20


def require_space(needed: Mapping[Path, int]) -> None:
    """Check that folders can take so many bytes each; those on one file system share its room.

    Raises:
        RunError: naming a folder, what is needed there, and what there is.
    """
    totals: Counter[int] = Counter()
    for folder, size in needed.items():
        device = folder.stat().st_dev
        totals[device] += size
        free = shutil.disk_usage(folder).free
        if totals[device] + _SPARE > free:
            raise RunError(
                f"the disk of {folder} has {free / 1e9:.1f} GB left, and a round may need "
                f"{(totals[device] + _SPARE) / 1e9:.1f} GB: make room, for example of old runs"
            )
