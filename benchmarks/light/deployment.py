"""A federation as it is deployed, with stand-ins for the sites' workers.

The deployment is the tests' own: SuperLink with TLS, keys and its database on disk, nginx,
server, links; all of them processes of this machine.
"""

import itertools
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.light import model
from benchmarks.light.memory import Side, families
from federator.runtime.weights.buffers import write_buffers
from federator.runtime.weights.format import save

HERE = Path(__file__).parent
_STRATEGY = "from flwr.serverapp.strategy import FedAvg\n\nstrategy = FedAvg(min_available_nodes=1)"
sys.path.insert(0, str(HERE.parents[1] / "tests"))
from fixtures.deployment import Deployment, deploy  # noqa: E402


def scratch() -> Path:
    """Return a folder on disk, not in memory, for what a benchmark writes."""
    folder = HERE.parents[1] / "build"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def server(root: Path, names: Sequence[str], megabytes: int) -> Iterator[Deployment]:
    """Run a server with its gateway, for a model of such a size; no site is running."""
    deadlines = "deadlines: {join: 30m, round: 1h}\n"
    with deploy(root, list(names), deadlines, strategy=_STRATEGY) as deployed:
        first = deployed.paths.first_model
        write_buffers(first, ())
        save(first, model.build(megabytes))
        yield deployed


def start_sites(deployed: Deployment) -> None:
    """Start a link for each site, and a stand-in for its worker."""
    for number, site in enumerate(deployed.names):
        deployed.start_link(site)
        worker = ("-m", "benchmarks.light.worker", deployed.socket(site), number)
        deployed.start(f"{site}.worker", sys.executable, *worker)


def server_side(deployed: Deployment) -> Side:
    """Return the server's side: SuperLink, ServerApp and what starts it, nginx."""
    return families(*map(deployed.processes.pid, ("superlink", "server", "gateway")))


def run(deployed: Deployment, rounds: int) -> float:
    """Run rounds; return the median seconds of those after the first.

    Raises:
        RuntimeError: if a site's update is missing in any of them, or smaller than the model.
    """
    with deployed.begin_rounds("--rounds", str(rounds)) as process:
        said = process.communicate()[0]
    trained = deployed.events("round")
    if process.returncode or len(trained) != rounds:
        raise RuntimeError(said)
    if not all(site["ok"] for event in trained for site in event["sites"].values()):
        raise RuntimeError(f"not every site delivered in every round\n{said}")
    if any(len(event["sites"]) != len(deployed.names) for event in trained):
        raise RuntimeError(f"not every site took part in every round\n{said}")
    size = deployed.paths.first_model.stat().st_size
    if any(site["bytes_up"] < size for event in trained for site in event["sites"].values()):
        raise RuntimeError(f"updates are of another model than the one of {size} bytes\n{said}")
    return statistics.median(between(trained))


def between(rounds: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the seconds from the end of each round to that of the next: all there is in between.

    Args:
        rounds: their events in the journal.
    """
    ends = [datetime.fromisoformat(event["time"]) for event in rounds]
    return [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(ends)]
