"""A hostile author's strategy in its container, beside a server's own containers.

The server's container asks it for one round, with no site: what it reaches does not depend on one.
"""

import os
import shutil
import subprocess
import time

import pytest
from fixtures.small_notebook import cells, federate
from fixtures.strategy_attacks import READS_EVERYTHING, found

from federator.app.convert import convert
from federator.deploy import compose, provision
from federator.images.build import build

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(2400),
    pytest.mark.usefixtures("docker_config"),
]

PUBLISHED = "/usr/local/lib/python3.11/dist-packages/Crypto/SelfTest/"  # of pycryptodome
# What the server does in a round: it asks the strategy, which finds no site there.
ASKS = """
import sys
from pathlib import Path
import numpy as np
from federator.runtime.server.aggregation.own_strategy import OwnStrategy
from federator.runtime.server.aggregation.split_model import SplitModel
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

class Sites:
    nodes = staticmethod(lambda: [1])
    ask = staticmethod(lambda kind, requests: [])
    keep = staticmethod(lambda number, parameters: None)

first = Path("/tmp/first.safetensors")
save(first, {"weight": np.zeros(3, np.float32)})
strategy = OwnStrategy(Path("/strategy/socket"), {}, Path("/app/aggregation.py"), None)
weights = WeightFile(first)
strategy.run(Sites(), SplitModel(weights, frozenset()), weights, 1, 300.0)
print("done by", strategy.name)
"""


@pytest.fixture(scope="module")
def server(registry, build_settings, tmp_path_factory):
    """Run a command of Docker Compose on a server whose strategy is a hostile author's."""
    root = tmp_path_factory.mktemp("hostile")
    root.chmod(0o755)
    settings = f"images: {registry.host}/acme\nserver: fl.example.org\nstrategy: own\n"
    federation = federate(root, settings + build_settings, cells(strategy=READS_EVERYTHING))
    components = convert(federation, root / "build")
    images = build(federation, components, True)
    provision.provision(federation)
    (federation.folder / "sites").mkdir(exist_ok=True)
    compose.write(federation, components.app, images, 2120)
    file = federation.folder / "server.yaml"

    def run(*command: str) -> str:
        done = subprocess.run(
            ["docker", "compose", "--file", str(file), *command],
            env=os.environ | {"SERVER_USER": f"{os.getuid()}:{os.getgid()}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield run
    run("down", "--volumes")
    shutil.rmtree(federation.folder / "keys")


def test_a_strategy_that_reads_everything_at_the_server_finds_no_key_and_publishes_nothing(server):
    server("up", "--detach", "--no-deps", "superlink", "strategy")
    said = server("run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "server", "-c", ASKS)
    assert "done by Hunter" in said
    deadline = time.monotonic() + 60
    while "FOUND " not in (log := server("logs", "--no-log-prefix", "strategy")):
        assert time.monotonic() < deadline, log
        time.sleep(1)
    told = found(log)
    # The image has a package whose own tests come with keys, which all the world knows.
    assert [path for path in told["keys"] if not path.startswith(PUBLISHED)] == []
    assert told["written"] == [], "a file system that is read-only, but for /tmp"
    assert told["network"] == []
    assert set(told["sockets"]) <= {"/strategy/socket"}
    settings = [name for name in told["variables"] if name.startswith("FEDERATOR_")]
    assert settings == ["FEDERATOR_APP", "FEDERATOR_SOCKET"]


def test_its_container_has_no_network_and_one_folder_that_it_cannot_write_to(server, engine):
    server("up", "--detach", "--no-deps", "strategy")
    container = server("ps", "--quiet", "strategy").strip()
    mode = engine("inspect", "--format={{.HostConfig.NetworkMode}}", container)
    mounts = engine(
        "inspect", "--format={{range .Mounts}}{{.Destination}} {{.RW}};{{end}}", container
    )
    user = engine("inspect", "--format={{.Config.User}}", container)
    assert (mode, mounts, user) == ("none", "/strategy false;", "10002:10001")
