"""NVFlare, the fastest peer, by its own simplest setup: separate processes, mutual TLS."""

from pathlib import Path

from benchmarks.light import peer
from benchmarks.light.memory import named
from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import environment

APP = Path(__file__).parents[1] / "nvflare_app"


def rounds(sites: int, megabytes: int, count: int, scratch: Path) -> tuple[list[float], float]:
    """Return the seconds of each round after the first, and the server's peak of memory in bytes.

    Args:
        sites: how many.
        megabytes: size of the model.
        count: of rounds.
        scratch: an empty folder.
    """
    first, times = scratch / "first.npy", scratch / "times"
    peer.write_model(first, megabytes)
    env = environment(scratch) | {"NVFLARE_POC_WORKSPACE": str(scratch / "poc")}
    command = [peer.python("nvflare", "2.9.0"), APP / "job.py", sites, count, first, times]
    with Processes(scratch / "logs") as processes:
        processes.start("job", [str(word) for word in command], env)
        server = named(f"{scratch}/poc/example_project/prod_00/server")
        memory = peer.watch(processes, ["job"], server)
    return peer.between(times, count), memory
