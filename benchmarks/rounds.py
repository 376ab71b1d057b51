"""What a round costs beside its training: ours, and stock Flower's, in the same run.

Both train the demo's model on the demo's three sites, the same epochs, the same machine. Ours is
``federator run``; the peer is an ordinary Flower app (``stock_app``) on a stock SuperLink with
three stock SuperNodes. The physical limit is the bare training loop of the slowest site.

Three lines are without training, with a model of 4 MB and sites that answer at once: ours as it is
deployed, with the SuperLink's database on disk, keys, TLS and gateway; NVFlare, with its own recipe
of federated averaging; and OpenFL.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.light import deployment, nvflare, openfl
from benchmarks.light import stock as light
from federator.app.convert import Components, convert
from federator.deploy.local.local_run import LocalRun
from federator.federation import schema
from federator.federation.schema import Federation

HERE = Path(__file__).parent
_MEGABYTES = 4


def ours(read: Federation, components: Components, rounds: int, scratch: Path) -> list[float]:
    """Return the seconds of each round after the first, in which everything warms up."""
    run = LocalRun(read, components, scratch / "run", rounds, baselines=False)
    run.folder.joinpath("logs").mkdir(parents=True)
    return deployment.between([event for event in run.events() if event["event"] == "round"])


def stock(read: Federation, components: Components, rounds: int, scratch: Path) -> list[float]:
    """Return the seconds of each round after the first of an ordinary Flower app."""
    app = shutil.copytree(HERE / "stock_app", scratch / "app")
    shutil.copy(components.app / "task.py", app)
    nodes = [f'data-dir="{site.data}"' for site in read.sites]
    return light.rounds(app, nodes, f"local-epochs={read.local_epochs}", rounds, scratch)[0]


def deployed(sites: int, rounds: int, scratch: Path) -> float:
    """Return the seconds of a round, which trains nothing, of ours as it is deployed."""
    names = [f"site-{number}" for number in range(sites)]
    with deployment.server(scratch, names, _MEGABYTES) as made:
        deployment.start_sites(made)
        return deployment.run(made, rounds)


def bare(read: Federation, components: Components) -> float:
    """Return the seconds that the slowest site's training and validation take by themselves."""
    code = (
        "import sys, time; from federator.runtime.worker.author_code import import_task, seed_all\n"
        "from pathlib import Path; app, data, epochs = sys.argv[1:]\n"
        "from federator.runtime.app_config import choose; choose({})\n"
        "task = import_task(Path(app)); net = task.Model()\n"
        "train, val, _, _ = task.load_data(data); task.train(net, train, val, 1)\n"
        "began = time.monotonic(); task.test(net, val); task.train(net, train, val, int(epochs))\n"
        "print(time.monotonic() - began)"
    )
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return max(
        float(
            subprocess.run(
                [sys.executable, "-c", code, components.app, str(site.data),
                 str(read.local_epochs)],
                capture_output=True, text=True, check=True, env=env,
            ).stdout.splitlines()[-1]
        )
        for site in read.sites
    )  # fmt: skip


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks rounds", description=__doc__)
    parser.add_argument("--federation", type=Path, default=Path("compose/breast-cancer"))
    parser.add_argument(
        "--rounds", type=int, default=6, help="rounds of each, the first not counted"
    )
    options = parser.parse_args(arguments)
    read = schema.read(options.federation)
    if missing := [str(site.data) for site in read.sites if site.data and not site.data.is_dir()]:
        parser.error(f"no data in {', '.join(missing)}: `make demo` lays it out")
    with tempfile.TemporaryDirectory(prefix="bench-", dir=deployment.scratch()) as folder:
        scratch = Path(folder)
        components = convert(read, scratch / "build")
        limit = bare(read, components)
        times = {}
        for name, measure in (("federator run", ours), ("stock Flower", stock)):
            (scratch / name).mkdir()
            times[name] = statistics.median(
                measure(read, components, options.rounds, scratch / name)
            )
        on_disk = deployed(len(read.sites), options.rounds, scratch / "deployed")
        theirs = {}
        for name, peer in (("NVFlare", nvflare), ("OpenFL", openfl)):
            (scratch / name).mkdir()
            found, _ = peer.rounds(len(read.sites), _MEGABYTES, options.rounds, scratch / name)
            theirs[name] = statistics.median(found)
    table = Table(title=f"a round of {read.name}: {len(read.sites)} sites, {os.cpu_count()} cores")
    for column in ("", "round, s", "beside the training, s", "ratio"):
        table.add_column(column, justify="left" if not column else "right")
    beside = {name: seconds - limit for name, seconds in times.items()}
    beside |= {"deployed, database on disk": on_disk, **theirs}
    ratios = {name: seconds / beside["stock Flower"] for name, seconds in beside.items()}
    table.add_row("bare training of the slowest site", f"{limit:.2f}", "", "")
    for name, seconds in beside.items():
        whole = f"{times[name]:.2f}" if name in times else ""
        table.add_row(name, whole, f"{seconds:.2f}", f"{ratios[name]:.3f}")
    Console().print(table)
    result = {
        "benchmark": "rounds",
        "ratio": round(ratios["federator run"], 4),
        "ratios": {name: round(found, 4) for name, found in ratios.items()},
        "round_s": times,
        "training_s": limit,
    }
    print(json.dumps(result))
