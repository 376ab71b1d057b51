"""The processes of a local run that run the author's code, confined as in containers."""

import os
import site as site_packages
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from pathlib import Path

from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.federation.parts import Site
from federator.federation.schema import Federation
from federator.runtime.worker.sandbox import isolation

# The variables of the author's shell that a worker gets, and a strategy. Logins, caches and module
# paths are left out: a container has none of them either.
_ALLOWED = (
    *("PATH", "LD_LIBRARY_PATH", "TZ", "LANG", "LANGUAGE", "LC_*"),
    *("OMP_*", "MKL_*", "OPENBLAS_*", "NUMEXPR_*", "KMP_*", "GOMP_*"),
    *("CUDA_*", "NVIDIA_*", "NCCL_*", "HIP_*", "ROCR_*"),
)
_STRATEGY = "strategy"  # the name of its process, log and socket
_READ_ONLY_AT_MOST = 64  # folders; each takes a mount


def environment(
    shell: Mapping[str, str], scratch: Path, threads: int, cuda: bool
) -> dict[str, str]:
    """Return the environment of a process that runs the author's code.

    Args:
        shell: the environment of this process.
        scratch: where temporary files go.
        threads: the number of threads that numerical libraries start.
        cuda: whether it may use the GPU.
    """
    allowed = {
        name: value
        for name, value in shell.items()
        if any(fnmatch(name, pattern) for pattern in _ALLOWED)
    }
    hidden = {} if cuda else {"CUDA_VISIBLE_DEVICES": ""}
    own = {"TMPDIR": str(scratch), "USER": "federator", "PYTHONUNBUFFERED": "1"}
    if site_packages.ENABLE_USER_SITE:  # packages there, not modules of the author's
        own["PYTHONUSERBASE"] = site_packages.getuserbase()
    return allowed | hidden | own | {"OMP_NUM_THREADS": str(threads)}


def arguments(site: Site, app: Path, socket: Path, personal: Path) -> list[str]:
    """Return the arguments of ``python -m federator.runtime`` that start a site's worker.

    Args:
        site: the worker's site.
        app: the folder of the Flower App.
        socket: where the site's link listens.
        personal: the folder of what stays at the site.
    """
    return [
        *("worker", "--site", site.name, "--app", str(app), "--socket", str(socket)),
        *("--data", str(site.data), "--imported", f"{socket}.imported"),
        *("--personal", str(personal)),
    ]


def read_only(site: Site, app: Path, outside: Iterable[Path] = ()) -> list[Path]:
    """Return the folders that a site's worker cannot write to.

    Args:
        site: the worker's site.
        app: the folder of the Flower App.
        outside: the targets of links in the data folder.
    """
    targets = [path for path in dict.fromkeys(outside) if path.exists()]
    return [Path(str(site.data)), app, *targets[:_READ_ONLY_AT_MOST]]


def strategy_socket(federation: Federation, scratch: Path) -> str | None:
    """Return where the server waits for the author's own strategy; None if there is none."""
    return str(scratch / _STRATEGY) if federation.strategy == "own" else None


def start_strategy(federation: Federation, app: Path, scratch: Path, processes: Processes) -> None:
    """Start the process of the author's own strategy, if there is one, without a network.

    Args:
        federation: the federation, to whose repository the process cannot write.
        app: the folder of the Flower App.
        scratch: the folder of the run's sockets.
        processes: those of the run.
    """
    if (socket := strategy_socket(federation, scratch)) is None:
        return
    unprepared = [
        *(sys.executable, "-P", "-m", "federator.runtime", "strategy"),
        *("--app", str(app), "--socket", socket),
    ]
    confined = isolation.command([federation.root.resolve(), app, scratch], unprepared)
    env = environment(os.environ, Path("/tmp"), os.cpu_count() or 1, cuda=False)
    processes.start(_STRATEGY, confined, env)


def require_strategy(federation: Federation, processes: Processes) -> None:
    """See that the strategy's process, if there is one, has not ended otherwise than after a run.

    Raises:
        RunError: if it has, with the last lines of its log.
    """
    if federation.strategy != "own":
        return
    if (status := processes.ended(_STRATEGY)) not in (None, os.EX_TEMPFAIL):
        said = processes.tail(_STRATEGY)
        raise RunError(f"the strategy's process ended with status {status}:\n{said}")
