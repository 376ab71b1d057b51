"""The author's own strategy in a local run: a process confined as the server's container for it."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from federator.deploy.local import workers
from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.worker.sandbox import isolation

NAME = "strategy"
"""Of the process."""

_AS_IT_SHOULD = 75  # with which it ends after a run


def socket(scratch: Path) -> Path:
    """Return where the server waits for it."""
    return scratch / NAME


def start(app: Path, scratch: Path, folders: Iterable[Path], processes: Processes) -> None:
    """Start the process, without a network.

    Args:
        app: the folder of the Flower App.
        scratch: the folder of the run's sockets.
        folders: what it cannot write to, besides those two.
        processes: those of the run.
    """
    unprepared = [
        *(sys.executable, "-P", "-m", "federator.runtime.strategy.process"),
        *("--app", str(app), "--socket", str(socket(scratch))),
    ]
    command = isolation.command([*folders, app, scratch], unprepared)
    env = workers.environment(os.environ, Path("/tmp"), os.cpu_count() or 1, cuda=False)
    processes.start(NAME, command, env)


def check(processes: Processes) -> None:
    """See that the process has not ended otherwise than after a run.

    Raises:
        RunError: if it has, with the last lines of its log.
    """
    if (status := processes.ended(NAME)) not in (None, _AS_IT_SHOULD):
        said = processes.tail(NAME)
        raise RunError(f"the strategy's process ended with status {status}:\n{said}")
