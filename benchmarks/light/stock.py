"""Stock Flower: an ordinary app on a stock SuperLink, with stock SuperNodes."""

import itertools
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.light.memory import Peak, families
from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import environment, free_port, wait_for


def rounds(
    app: Path,
    nodes: Sequence[str],
    settings: str,
    count: int,
    scratch: Path,
    **further: str,
) -> tuple[list[float], int]:
    """Return the seconds of each round after the first, and the server's peak of memory.

    Args:
        app: the app's folder; it writes when each round ends to the file ``ROUND_TIMES``.
        nodes: the configuration of each SuperNode.
        settings: the run's.
        count: of rounds.
        scratch: an empty folder.
        further: variables of the environment.
    """
    env = environment(scratch) | {"ROUND_TIMES": str(scratch / "times")} | further
    port = free_port()
    address = f"127.0.0.1:{port}"
    (scratch / "config.toml").write_text(
        f'superlink.default = "local"\nsuperlink.local = {{address="{address}", insecure=true}}\n'
    )
    binary = Path(sys.executable).parent
    with Processes(scratch / "logs") as processes:
        processes.start(
            "superlink",
            [str(binary / "flower-superlink"), "--insecure", "--port", str(port),
             "--disable-runtime-dependency-installation"],
            env,
        )  # fmt: skip
        wait_for(f"http://{address}/health", processes)
        for number, config in enumerate(nodes):
            processes.start(
                f"node-{number}",
                [str(binary / "flower-supernode"), "--insecure", "--superlink", address,
                 "--port", str(free_port()), "--node-config", config],
                env,
            )  # fmt: skip
        with Peak({"server": families(processes.pid("superlink"))}) as peak:
            run = [str(binary / "flwr"), "run", str(app), "local"]
            settings = f"rounds={count} {settings}"
            subprocess.run([*run, "-c", settings], env=env, check=True, stdout=subprocess.DEVNULL)
            times = _times(scratch / "times", count)
        return times, peak.bytes["server"]


def _times(path: Path, count: int) -> list[float]:
    deadline = time.monotonic() + 600 * count
    while time.monotonic() < deadline:
        at = [float(line) for line in path.read_text().splitlines()] if path.exists() else []
        if len(at) > count:
            return [later - earlier for earlier, later in itertools.pairwise(at[1:])]
        time.sleep(0.5)
    raise TimeoutError("stock Flower did not finish its rounds")
