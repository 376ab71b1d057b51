"""NVFlare, the fastest peer, by its own simplest setup: separate processes, mutual TLS."""

import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.light import deployment
from benchmarks.light.memory import Peak, named
from federator.local import environment
from federator.processes import Processes

APP = Path(__file__).parents[1] / "nvflare_app"
VERSION = "2.9.0"


def rounds(sites: int, megabytes: int, count: int, scratch: Path) -> tuple[list[float], float]:
    """Return the seconds of each round after the first, and the server's peak of memory in bytes.

    Args:
        sites: how many.
        megabytes: size of the model, which is one array of random numbers.
        count: of rounds.
        scratch: an empty folder.
    """
    numbers = np.random.default_rng(0).standard_normal(megabytes * 250_000, np.float32)
    np.save(scratch / "first.npy", numbers * np.float32(0.01))
    times = scratch / "times"
    env = environment(scratch) | {"NVFLARE_POC_WORKSPACE": str(scratch / "poc")}
    command = [_python(), APP / "job.py", sites, count, scratch / "first.npy", times]
    with Processes(scratch / "logs") as processes:
        processes.start("job", [str(word) for word in command], env)
        server = named(f"{scratch}/poc/example_project/prod_00/server")
        with Peak({"server": server}) as peak:
            while processes.ended("job") is None:
                time.sleep(0.2)
        if processes.ended("job"):
            raise RuntimeError(processes.tail("job", 30))
    asked = [float(line) for line in times.read_text().split()]
    if len(asked) != count:
        raise RuntimeError(f"NVFlare did {len(asked)} of {count} rounds")
    return [later - earlier for earlier, later in pairwise(asked)], peak.bytes["server"]


def _python() -> Path:
    """Return the Python of an environment with NVFlare, which does not go with Flower in one."""
    folder = deployment.scratch() / f"nvflare-{VERSION}"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", f"nvflare=={VERSION}"]
        subprocess.run(pip, check=True, stdout=sys.stderr)
        (folder / "ready").touch()
    return python
