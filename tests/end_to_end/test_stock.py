"""The generated folder is a plain Flower App: ``flwr run`` with a stock SuperNode, not our CLI."""

import json
import subprocess
import sys
import time
from pathlib import Path

from fixtures.rehearsals import events, lay_out, lay_out_site

from federator.app.convert import convert
from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import environment, free_port, wait_for
from federator.runtime.weights.format import load

BIN = Path(sys.executable).parent


# One node is enough to show it, and each of its messages starts a process that imports torch.
STRATEGY = """\
from flwr.serverapp.strategy import FedAvg

strategy = FedAvg(min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1)"""


def test_a_stock_supernode_trains_the_generated_app(tmp_path, monkeypatch):
    sites = {"north": lay_out_site(tmp_path / "north", 1)}
    federation = lay_out(tmp_path, sites, "rounds: 1\n", strategy=STRATEGY)
    app = convert(federation, tmp_path / "build").app
    env = environment(tmp_path)
    address = f"127.0.0.1:{free_port()}"
    (tmp_path / "config.toml").write_text(
        f'superlink.default = "local"\nsuperlink.local = {{address="{address}", insecure=true}}\n'
    )
    with Processes(tmp_path / "logs") as processes:
        # A bare `flwr run` leaves its results where the SuperLink was started.
        monkeypatch.chdir(tmp_path)
        superlink = [str(BIN / "flower-superlink"), "--insecure", "--port", address.split(":")[1]]
        processes.start("superlink", [*superlink, "--disable-runtime-dependency-installation"], env)
        wait_for(f"http://{address}/health", processes)
        for name, data in sites.items():
            node = [str(BIN / "flower-supernode"), "--insecure", "--superlink", address]
            config = f'site="{name}" data-dir="{data}"'
            port = str(free_port())
            processes.start(name, [*node, "--port", port, "--node-config", config], env)
        command = [str(BIN / "flwr"), "run", str(app), "local", "--format", "json"]
        told = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
        run = str(json.loads(told.stdout)["run-id"])
        results = tmp_path / "results" / federation.name / run
        deadline = time.monotonic() + 600
        while not (results / "rounds.jsonl").exists() or not events(results, "end"):
            assert time.monotonic() < deadline, processes.tail("superlink", 30)
            time.sleep(0.2)
    assert events(results, "end")[0]["state"] == "finished"
    assert [set(e["sites"]) for e in events(results, "round")] == [{"north"}]
    assert load(results / "model.safetensors")
