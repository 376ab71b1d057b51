"""A federation as it is deployed, each part a process of this machine instead of a container.

A stock SuperLink with TLS, node authentication and its database; nginx before it; the server;
and for each site a link with a key of its own, and a worker.
"""

import json
import os
import shutil
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from rehearsals import lay_out, lay_out_site

from federator import sites
from federator.convert import convert
from federator.local import free_port
from federator.processes import Processes
from federator.provision import provision
from federator.runtime import keys
from federator.runtime.campaign import Premises
from federator.runtime.control import environment
from federator.runtime.flower import app_hash
from federator.runtime.parcels import STEPS
from federator.templates import Templates

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
STOP = 900.0  # seconds after which what never comes ends the test; no machine is that slow
RUNTIME = [sys.executable, "-m", "federator.runtime"]


class Deployment:
    """One federation and its running parts; ``logs/`` has what each of them says."""

    def __init__(
        self,
        root: Path,
        processes: Processes,
        names: list[str],
        settings: str = "",
        host: str = "127.0.0.1",
        **changed: str,
    ):
        self.root, self.processes, self.names = root, processes, names
        self.begun: list[subprocess.Popen[str]] = []
        self.port, self.inner = free_port(), free_port()
        self.address = f"{host}:{self.port}"
        data = {name: lay_out_site(root / "data" / name, seed) for seed, name in enumerate(names)}
        self.data = data
        told = f"server: {self.address}\nrounds: 2\n{settings}"
        self.federation = lay_out(root, data, told, **changed)
        self.components = convert(self.federation, root / "build")
        self.hash = app_hash(self.components.app)
        provision(self.federation)
        self.keys = self.federation.folder / "keys"
        self.ca = self.federation.folder / "public" / "ca.crt"
        for name in names:
            sites.add(self.federation, name, self.make_key(name))
        self.env = environment(root / "flwr", "127.0.0.1:0") | {"OMP_NUM_THREADS": "1"}
        self.premises = Premises(
            f"127.0.0.1:{self.inner}",
            self.keys / "superlink.crt",
            self.components.app,
            root / "federation.json",
            self.keys / "coordinator.key",
            root / "results",
            root / "store",
        )
        self.env_of_site = dict(self.env)  # which knows nothing of the server's folders
        self.env |= self.premises.environment
        read = self.federation
        self.premises.federation.write_text(
            json.dumps(
                {
                    "federation": read.name,
                    "sites": [site.name for site in read.sites],
                    "quorum": read.quorum,
                    "join_deadline": read.deadlines.join,
                    "round_deadline": read.deadlines.round,
                    "baselines": read.baselines,
                    "encoding": read.encoding,
                    "messages": [s.name for s in read.sites if s.transport == "messages"],
                }
            )
        )

    def make_key(self, name: str) -> Path:
        """Make a site's key; return the public half's file, as the site would send it."""
        (self.root / name).mkdir(exist_ok=True)
        key = keys.make(self.root / name / "site.key")
        path = self.root / name / "site.pub"
        path.write_text(keys.line(key.public_key(), name) + "\n")
        return path

    # -- parts ----------------------------------------------------------------------------

    def start_superlink(self) -> None:
        """Start the SuperLink, as the server's compose file does."""
        self.start(
            "superlink",
            *(*RUNTIME, "superlink"),
            *("--host", "127.0.0.1", "--port", str(self.inner)),
            *("--ssl-certfile", self.keys / "superlink.crt"),
            *("--ssl-keyfile", self.keys / "superlink.key"),
            *("--ssl-ca-certfile", self.keys / "superlink.crt"),
            *("--database", self.root / "state.db", "--enable-supernode-auth"),
            *("--isolation", "process", "--disable-runtime-dependency-installation"),
            *("--superexec-auth-secret-file", self.keys / "superexec.secret"),
        )

    def start_gateway(self) -> None:
        """Start nginx with the generated configuration."""
        scratch = self.root / "nginx"
        scratch.mkdir(exist_ok=True)
        self.premises.store.mkdir(exist_ok=True)
        text = Templates().fill(
            "nginx.conf",
            listen=self.address,
            scratch=scratch,
            store=self.premises.store,
            part_sizes=STEPS,
            certificate=self.keys / "server.crt",
            key=self.keys / "server.key",
            superlink=f"127.0.0.1:{self.inner}",
            superlink_certificate=self.keys / "superlink.crt",
            resolver="",
        )
        (scratch / "nginx.conf").write_text(text)
        # Workers under another user could not enter pytest's folders.
        user = "user root;" if os.geteuid() == 0 else ""
        self.start("gateway", NGINX, "-c", scratch / "nginx.conf", "-g", f"daemon off; {user}")

    def start_server(self) -> None:
        """Start the server's own process."""
        secret = self.keys / "superexec.secret"
        folder = self.federation.folder / "sites"
        self.start(
            "server", *RUNTIME, "serve", f"--sites={folder}", f"--secret={secret}", "--every=0.3"
        )

    def socket(self, name: str) -> Path:
        """Return where a site's worker connects."""
        return self.root / f"{name}.socket"

    def start_link(self, name: str, *prefix: str) -> None:
        """Start a site's link; ``prefix`` is what its command begins with."""
        public = (self.federation.folder / "public" / "coordinator.pub").read_text().strip()
        self.start(
            f"{name}.link", *prefix, *RUNTIME, "link", "--server", self.address, "--ca", self.ca,
            *("--key", self.root / name / "site.key", "--site", name),
            *("--socket", self.socket(name)),
            *("--app-hash", self.hash, "--coordinator-key", public, "--labels", 2),
            env=self.env_of_site,
        )  # fmt: skip

    def start(self, name: str, *command: object, env: dict[str, str] | None = None) -> None:
        """Start a part; it ends with the deployment."""
        self.processes.start(name, [str(part) for part in command], env or self.env)

    # -- use ------------------------------------------------------------------------------

    def build_initial(self) -> None:
        """Write the first model, as the service ``init`` does."""
        out = self.premises.runs / "initial.safetensors"
        command = [*RUNTIME, "initial", f"--app={self.components.app}", f"--out={out}"]
        subprocess.run(command, env=self.env, check=True)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of the images, to be stopped by the test."""
        command = [*RUNTIME, *arguments]
        begun = subprocess.Popen(command, env=self.env, stdout=subprocess.PIPE, text=True)
        self.begun.append(begun)
        return begun

    def events(self, kind: str) -> list[dict]:
        """Return the events of one kind of the only run."""
        (journal,) = self.premises.runs.glob("*/rounds.jsonl")
        lines = map(json.loads, journal.read_text().splitlines())
        return [event for event in lines if event["event"] == kind]

    def client(self) -> httpx.Client:
        """Return a client that trusts the server, as a site does."""
        context = ssl.create_default_context(cafile=self.ca)
        return httpx.Client(base_url=f"https://{self.address}", verify=context, trust_env=False)

    def wait_for(self, log: str, text: str, times: int = 1) -> str:
        """Wait until a part has said something so many times; return all it said."""
        path = self.processes.logs / f"{log}.log"
        deadline = time.monotonic() + STOP
        while time.monotonic() < deadline:
            if path.exists() and (said := path.read_text()).count(text) >= times:
                return said
            time.sleep(0.05)
        raise AssertionError(f"{log} never said {text!r}:\n{path.read_text()[-4000:]}")

    def wait_for_health(self) -> None:
        """Wait until the SuperLink answers through the gateway."""
        deadline = time.monotonic() + STOP
        with self.client() as client:
            while time.monotonic() < deadline:
                try:
                    if client.get("/health").status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                time.sleep(0.1)
        raise AssertionError(self.processes.tail("gateway", 20))


@contextmanager
def deploy(
    root: Path, names: list[str], settings: str = "", host: str = "127.0.0.1", **changed: str
):
    """Deploy a federation with the server's parts running, and no site yet."""
    if NGINX is None:
        pytest.skip("nginx is missing (Debian and Ubuntu: nginx-light)")
    with Processes(root / "logs") as processes:
        deployment = Deployment(root, processes, names, settings, host, **changed)
        deployment.start_superlink()
        deployment.start_gateway()
        deployment.build_initial()
        deployment.wait_for_health()
        deployment.start_server()
        deployment.wait_for("server", "is admitted", times=len(names))
        try:
            yield deployment
        finally:
            for begun in deployment.begun:  # by a test that failed before it stopped it
                begun.kill()
