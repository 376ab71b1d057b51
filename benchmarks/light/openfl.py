"""OpenFL, by its task runner: an aggregator and collaborators, a process each, without TLS."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.light import peer
from benchmarks.light.memory import families
from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import environment, free_port

APP = Path(__file__).parents[1] / "openfl_app"


def rounds(sites: int, megabytes: int, count: int, scratch: Path) -> tuple[list[float], float]:
    """Return the seconds of each round after the first, and the server's peak of memory in bytes.

    Args:
        sites: how many.
        megabytes: size of the model.
        count: of rounds.
        scratch: an empty folder.
    """
    names = [f"site-{number}" for number in range(1, sites + 1)]
    workspace, first, times = scratch / "workspace", scratch / "first.npy", scratch / "times"
    _lay_out(workspace, names, count, first, times)
    peer.write_model(first, megabytes)
    # Its version does not go with a later numpy.
    program = peer.python("openfl", "1.9", "numpy<2.4").with_name("fx")
    fx, env = ["env", f"--chdir={workspace}", str(program)], environment(scratch)
    subprocess.run([*fx, "plan", "initialize"], check=True, env=env, capture_output=True)
    with Processes(scratch / "logs") as processes:
        processes.start("aggregator", [*fx, "aggregator", "start"], env)
        time.sleep(3)  # who comes too early tries again 5 s later
        for name in names:
            processes.start(name, [*fx, "collaborator", "start", "-n", name], env)
        server = families(processes.pid("aggregator"))
        memory = peer.watch(processes, ["aggregator", *names], server)
    return peer.between(times, count), memory


def _lay_out(workspace: Path, names: Sequence[str], count: int, first: Path, times: Path) -> None:
    for folder in ("plan", "save"):
        (workspace / folder).mkdir(parents=True)
    (workspace / ".workspace").touch()
    shutil.copy(APP / "runner.py", workspace)
    plan = YAML().load(APP / "plan.yaml")
    plan["aggregator"]["settings"]["rounds_to_train"] = count
    plan["network"]["settings"]["agg_port"] = free_port()
    plan["task_runner"]["settings"] = {"first": str(first), "times": str(times)}
    YAML().dump(plan, workspace / "plan" / "plan.yaml")
    YAML().dump({"collaborators": list(names)}, workspace / "plan" / "cols.yaml")
    (workspace / "plan" / "data.yaml").write_text("".join(f"{name},none\n" for name in names))
