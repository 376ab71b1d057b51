"""What it costs to pass a large model round: ours through the gateway with TLS, and three peers.

Three sites whose training is one multiplication, on this machine: so a round is the model down,
an update up from each, the checks and the fold. Each site also tests the model that it receives,
as in every round of ours. The physical limit is the same bytes by curl from and to the same nginx,
as many at once. Stock Flower has neither TLS nor keys here, its database in memory; its FedAvg
has the sites train and test, as by default, for which it sends the model a second time (and, in a
second run, train only). NVFlare has TLS, passes the model as one array, and tests nothing. OpenFL
has no TLS here, and passes it as one array, too; its sites test the model that they receive.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.light import deployment, model, nvflare, openfl, stock
from benchmarks.light.memory import Peak, families
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save
from federator.runtime.weights.parts import name

HERE = Path(__file__).parent
Figures = dict[str, float]


def ours(sites: int, megabytes: int, rounds: int, scratch: Path) -> Figures:
    """Return the seconds of a round and of the limit, and the peaks of memory."""
    names = [f"site-{number}" for number in range(sites)]
    with deployment.server(scratch, names, megabytes) as deployed:
        deployment.start_sites(deployed)
        link = families(deployed.processes.pid(f"{names[0]}.link"))
        with Peak({"server": deployment.server_side(deployed), "link": link}) as peak:
            seconds = deployment.run(deployed, rounds)
        limits = [limit(deployed, sites) for _ in range(3)]
    return {
        "round_s": seconds,
        "limit_s": statistics.median(limits),
        "server_mb": peak.bytes["server"] / 1e6,
        "link_mb": peak.bytes["link"] / 1e6,
    }


def limit(deployed: deployment.Deployment, sites: int) -> float:
    """Return the seconds in which curl gets the model and puts as many bytes, for all sites."""
    store = Store(deployed.paths.store)
    first = deployed.paths.first_model
    down, table = store.publish(WeightFile(first))
    parts, size = deployed.root / "parts", first.stat().st_size
    if not parts.exists():
        parts.mkdir()
        with first.open("rb") as source:
            for number, part in enumerate(table):
                (parts / name(number, size)).write_bytes(source.read(part.size))
    weights = f"https://{deployed.address}/v1/weights"
    get = [[f"{weights}/down/{down}/model", "--output", "/dev/null"]] * sites
    put = []
    for _ in range(sites):
        up = store.accept(size).capability
        names = [name(number, size) for number in range(len(table))]
        files = [
            ("--upload-file", str(parts / part), f"{weights}/up/{up}/{part}") for part in names
        ]
        put.append([argument for file in files for argument in file])
    began = time.monotonic()
    for commands in (get, put):
        curl(deployed.ca, commands)
    taken = time.monotonic() - began
    store.withdraw()
    return taken


def curl(authority: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run curl as often as there are commands, all at once."""
    base = ["curl", "--no-progress-meter", "--fail", "--noproxy", "*", "--cacert", str(authority)]
    at_once = ["--parallel", "--parallel-max", "4"]
    running = [subprocess.Popen([*base, *at_once, *command]) for command in commands]
    if any(process.wait() for process in running):
        raise RuntimeError("curl failed")


def peer(sites: int, megabytes: int, rounds: int, tested: bool, scratch: Path) -> Figures:
    """Return the same of stock Flower, whose sites train, and test if that is asked for."""
    scratch.mkdir()
    save(scratch / "first.safetensors", model.build(megabytes))
    nodes = [f"site={number}" for number in range(sites)]
    times, server = stock.rounds(
        HERE / "stock_arrays", nodes, f"sites={sites} tested={float(tested)}", rounds, scratch,
        FIRST_MODEL=str(scratch / "first.safetensors"),
    )  # fmt: skip
    return {"round_s": statistics.median(times), "server_mb": server / 1e6}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks weights", description=__doc__)
    add = parser.add_argument
    add("--sites", type=int, default=3)
    add("--megabytes", type=int, default=553, help="size of the model; 553 has VGG16's tensors")
    add("--rounds", type=int, default=4, help="of ours, the first not counted")
    add("--peer-rounds", type=int, default=4, help="of the peers, the first not counted; 0: none")
    add("--also", nargs="*", default=["3x100", "10x553"], metavar="SITESxMB",
        help="further federations of ours, with nothing to compare them to")  # fmt: skip
    options = parser.parse_args(arguments)
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=deployment.scratch()) as folder:
        scratch = Path(folder)
        found["ours"] = ours(options.sites, options.megabytes, options.rounds, scratch / "ours")
        for case in options.also:
            sites, megabytes = map(int, case.split("x"))
            name = f"ours, {sites} sites, {megabytes} MB"
            found[name] = ours(sites, megabytes, options.rounds, scratch / case)
        if options.peer_rounds:
            for side, tested in (("stock Flower", True), ("stock Flower, training only", False)):
                found[side] = peer(
                    options.sites, options.megabytes, options.peer_rounds, tested, scratch / side
                )
            for side, others in (("NVFlare", nvflare), ("OpenFL", openfl)):
                (scratch / side).mkdir()
                times, server = others.rounds(
                    options.sites, options.megabytes, options.peer_rounds + 1, scratch / side
                )
                found[side] = {"round_s": statistics.median(times), "server_mb": server / 1e6}
    table = Table(
        title=f"a round: {options.megabytes} MB, {options.sites} sites, {os.cpu_count()} cores"
    )
    for column in ("", "round, s", "server's side, MB", "a link, MB"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("curl, the same bytes", f"{found['ours']['limit_s']:.1f}", "", "")
    for side, figures in found.items():
        link = f"{figures['link_mb']:.0f}" if "link_mb" in figures else ""
        table.add_row(side, f"{figures['round_s']:.1f}", f"{figures['server_mb']:.0f}", link)
    Console().print(table)
    ratios = {
        peer: round(found["ours"]["round_s"] / found[peer]["round_s"], 4)
        for peer in found
        if not peer.startswith("ours")
    }
    result = {
        "benchmark": "weights",
        "ratio": ratios.get("stock Flower"),
        "ratios": ratios,
        "limit_ratio": round(found["ours"]["round_s"] / found["ours"]["limit_s"], 3),
        "sites": options.sites,
        "megabytes": options.megabytes,
        **{side: {k: round(v, 2) for k, v in figures.items()} for side, figures in found.items()},
    }
    print(json.dumps(result))
