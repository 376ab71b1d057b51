"""What runs left is kept for as long as the federation file says: then the server removes it.

The run that the next rounds would continue is never touched, nor one without an end.
"""

import logging
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from federator.runtime.control.runs import folders
from federator.runtime.server.journal import FILE, End, Removed, append, events, now

log = logging.getLogger("federator")

_KEPT = {"model.safetensors", "round-000.safetensors"}


def remove_old(runs: Path, checkpoints: int | None, results: int | None) -> None:
    """Remove the checkpoints, or all files, of the runs that ended so many days ago.

    Args:
        runs: the folder of the runs' folders.
        checkpoints: for how many days the models of single rounds are kept, and the strategy's
            state beside them; None for ever. The first and the final model are kept longer.
        results: for how many days the whole run is; None for ever.

    Raises:
        OSError: if something cannot be removed.
    """
    continued = folders(runs)[-1:]
    for folder in sorted(path.parent for path in runs.glob(f"*/{FILE}")):
        ended = None if folder in continued else _ended(folder)
        if ended is None:
            continue
        age = now() - ended
        if results is not None and age > timedelta(days=results):
            shutil.rmtree(folder)
            log.info("run %s is removed: it ended more than %d days ago", folder.name, results)
        elif checkpoints is not None and age > timedelta(days=checkpoints):
            _remove_checkpoints(folder, checkpoints)


def _ended(folder: Path) -> datetime | None:
    """Return when a run last ended; None if it is going on, or nobody knows."""
    try:
        found = events(folder, End)
    except (OSError, ValidationError):
        return None
    return found[-1].time if found else None


def _remove_checkpoints(folder: Path, days: int) -> None:
    """Remove the models of single rounds; the journal notes it first, so that none is missed."""
    paths = sorted(path for path in folder.glob("round-*.safetensors") if path.name not in _KEPT)
    if paths:
        names = [path.name for path in paths]
        append(folder, Removed(time=now(), files=names, kept_days=days))
        for path in paths:
            path.unlink()
        log.info("run %s: %d checkpoints are removed", folder.name, len(names))
