"""The target ``tensorboard``: event files, a folder for each model, site and set."""

import re
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from federator.errors import InputError, Problem
from federator.results.export.measurements import Measurement, measurements
from federator.results.export.source import Source
from federator.runtime.protocol.instructions import FEDERATION


def write(source: Source, folder: Path) -> None:
    """Write event files into a folder; its steps are rounds, its times those of the journal.

    TensorBoard keeps values as float32. A figure of one label is tagged ``metric/label``.

    Raises:
        InputError: if TensorBoard is not installed.
        OSError: if a file cannot be written.
    """
    try:
        from tensorboard.summary import Writer
    except ImportError:
        message = "TensorBoard is not installed, whose event files these are"
        hint = "install it:  pip install 'notebook-federator[tensorboard]'"
        raise InputError(Problem(message, hint=hint)) from None
    series: dict[str, list[Measurement]] = defaultdict(list)
    for one in measurements(source.journal):
        series[_place(one)].append(one)
    for place, found in series.items():
        with closing(Writer(str(folder / place))) as writer:
            for one in found:
                tag = f"{one.metric}/{one.label}" if one.label else one.metric
                writer.add_scalar(tag, one.value, one.round, wall_time=one.time.timestamp())


def _place(one: Measurement) -> str:
    """Return the folder of a number; a site's name in a journal may be any text."""
    alone = "" if one.model == FEDERATION else f"model-{one.model}"
    names = [re.sub(r"[^\w-]", "-", name) for name in (alone, one.site, one.set) if name]
    return "/".join(names)
