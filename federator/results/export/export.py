"""Writes a run for another program, into a folder that appears complete or not at all."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import federator
from federator.common.files import renewed
from federator.errors import FederatorError, InputError, Problem, Where
from federator.results.export import rocrate, table, tensorboard
from federator.results.export.source import Source
from federator.results.export.target import Target

NOTE = "export.json"
"""Says what a folder holds; only a folder with it is ever replaced."""


_WRITERS: Mapping[Target, Callable[[Source, Path], None]] = {
    Target.CSV: table.write,
    Target.TENSORBOARD: tensorboard.write,
    Target.ROCRATE: rocrate.write,
}


def export(
    source: Source, target: Target, folder: Path | None = None, overwrite: bool = False
) -> Path:
    """Write a run for another program; return the folder.

    Args:
        source: the run.
        target: for which program.
        folder: where to; if absent, ``export/TARGET`` in the run's folder.
        overwrite: whether an earlier export there may be replaced.

    Raises:
        InputError: if there is something already, or what is needed is not installed.
        FederatorError: if it cannot be written; what was there before is there still.
    """
    folder = folder or source.run / "export" / target
    if folder.exists():
        _require_replaceable(folder, overwrite)
    about = {
        "run": source.run.resolve().name,
        "to": target,
        "federator": federator.__version__,
        "sites": source.settings.publish_sites,
        "model": source.settings.publish_model,
    }
    try:
        with renewed(folder) as new:
            _WRITERS[target](source, new)
            (new / NOTE).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        where = Where(str(error.filename or folder))
        raise FederatorError(Problem(f"cannot be written: {error.strerror}", where)) from None
    return folder


def _require_replaceable(folder: Path, overwrite: bool) -> None:
    if not folder.is_dir() or not (folder / NOTE).is_file():
        hint = "choose another folder by --output"
        raise InputError(Problem(f"{folder}: is there already, and is no export", hint=hint))
    if not overwrite:
        hint = "replace it by --overwrite, or choose another folder by --output"
        raise InputError(Problem(f"{folder}: is there already", hint=hint))
