"""What peers have in common that do not go with Flower in one environment."""

import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.light import deployment
from benchmarks.light.memory import Peak, Side
from federator.deploy.local.processes import Processes


def python(package: str, version: str, *further: str) -> Path:
    """Return the Python of an environment with a package, made if it is not there."""
    folder = deployment.scratch() / f"{package}-{version}"
    found = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [found, "-m", "pip", "install", "--quiet", f"{package}=={version}", *further]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    return found


def write_model(path: Path, megabytes: int) -> None:
    """Write a model of such a size: one array of random numbers."""
    numbers = np.random.default_rng(0).standard_normal(megabytes * 250_000, np.float32)
    np.save(path, numbers * np.float32(0.01))


def watch(processes: Processes, names: Sequence[str], server: Side) -> float:
    """Wait until the first of some processes has ended; return the server's peak of memory (bytes).

    Raises:
        RuntimeError: if one of them fails.
    """
    with Peak({"server": server}) as peak:
        while True:
            over = processes.ended(names[0]) is not None
            if failed := [name for name in names if processes.ended(name)]:
                raise RuntimeError(processes.tail(failed[0], 30))
            if over:
                return peak.bytes["server"]
            time.sleep(0.2)


def between(times: Path, rounds: int) -> list[float]:
    """Return the seconds from each time at which the first site was asked to the next.

    Raises:
        RuntimeError: if it was not asked in each round.
    """
    asked = [float(line) for line in times.read_text().split()] if times.exists() else []
    if len(asked) != rounds:
        raise RuntimeError(f"{times}: {len(asked)} of {rounds} rounds")
    return [later - earlier for earlier, later in pairwise(asked)]
