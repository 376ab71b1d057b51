"""From a push to images, compose files and rounds: the real workflow files, run by act."""

import json
import os
import shutil
from pathlib import Path

import pytest
from deployed import Deployed, Desk
from hosted import Repository, Run, git, needs_act
from rehearsals import PLAIN_TRAIN, lay_out_site
from small_notebook import cells, write

from federator.local import free_port
from federator.registry import Registry
from federator.runtime.fingerprint import fingerprint

pytestmark = pytest.mark.docker

NAME, SITES = "tumours", ("north", "south")
FOLDER = f"compose/{NAME}"


class Project:
    """An author's repository at "GitHub", the server's checkout of it, and its sites.

    Attributes:
        github: the repository.
        home: the server's checkout.
        registry: where images go.
        deployed: what runs.
    """

    def __init__(self, root: Path, registry, settings: str, address: str) -> None:
        self.github, self.registry, self.root = Repository(root), registry, root
        self.work, self.home = self.github.work, root / "home"
        port = free_port()
        self.settings = (
            f"images: {registry.host}/acme\nserver: {address}:{port}\nrounds: 3\n{settings}"
            "requirements: {torch: torch==2.13.0}\ndeadlines: {join: 60, round: 60}\n"
        )
        (self.work / "requirements.txt").write_text("notebook-federator[author]\n")
        (self.work / ".gitignore").write_text("/build/\n.env\n")
        self.write(NAME)
        self.events = [self.github.push("a filled notebook")]
        self.github.clone(self.home)
        home = Desk(self.home, {})
        home.run(f"federator provision {FOLDER}")
        (self.home / FOLDER / ".env").write_text(f"PORT={port}\n")
        git(self.home, "add", "--all")
        git(self.home, "commit", "--quiet", "--message=public halves")
        git(self.home, "push", "--quiet")
        self.github.pull()
        self.deployed = Deployed(home, {}, NAME)

    def write(self, name: str, **changed: str) -> None:
        """Write a federation and its notebook."""
        (self.work / "notebooks").mkdir(exist_ok=True)
        write(self.work / "notebooks" / f"{name}.ipynb", cells(**{"train": PLAIN_TRAIN, **changed}))
        folder = self.work / "compose" / name
        folder.mkdir(parents=True, exist_ok=True)
        sites = json.dumps([{"name": site, "min_cell_count": 1} for site in SITES])
        (folder / "federation.yaml").write_text(
            f"notebook: ../../notebooks/{name}.ipynb\nsites: {sites}\n{self.settings}"
        )

    def federate(self, event: dict, name: str = "push", password: str | None = None) -> Run:
        """Run federate.yml for an event."""
        secrets = {
            "DOCKERHUB_USERNAME": self.registry.user,
            "DOCKERHUB_TOKEN": password or self.registry.password,
            "GITHUB_TOKEN": "not-needed-here",
        }
        run = self.github.run(
            name,
            event,
            "--workflows=.github/workflows/federate.yml",
            f"--var=REGISTRY={self.registry.host}",
            *(f"--secret={key}={value}" for key, value in secrets.items()),
            DOCKER_CONFIG=os.environ["DOCKER_CONFIG"],
        )
        self.github.pull()
        return run

    def rounds(self, **inputs: str) -> Run:
        """Run rounds.yml to its end."""
        return self.github.run(*self.dispatch(**inputs))

    def dispatch(self, **inputs: str) -> tuple[str, dict, str, str]:
        """What the dispatch of rounds.yml is made of."""
        asked = {"federation": NAME, "rounds": "1", "epochs": "", "mode": "resume", "request": ""}
        return (
            "workflow_dispatch",
            {"inputs": asked | inputs},
            "--workflows=.github/workflows/rounds.yml",
            f"--var=FEDERATOR_HOME={self.home}",
        )

    def start_site(self, name: str, seed: int, files: Path) -> None:
        """Do what a site's operator and the coordinator do with its compose file."""
        folder, data = self.root / name, self.root / "data" / name
        folder.mkdir()
        lay_out_site(data, seed)
        for path in (data, *data.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.copy(files / f"{name}.yaml", folder / "compose.yaml")
        (folder / ".env").write_text(f"DATA_DIR={data}\n")
        site = self.deployed.sites[name] = Desk(folder, {})
        said = site.run("docker compose run --rm link keygen")
        line = next(line for line in said.splitlines() if line.startswith("ecdsa"))
        (self.root / f"{name}.pub").write_text(line + "\n")
        Desk(self.work, {}).run(f"federator site add {FOLDER} {name} {self.root}/{name}.pub")
        site.run("docker compose up -d")


@pytest.fixture(scope="module")
def project(engine, registry_with_login, build_settings, tmp_path_factory):
    """The project, before anything was built."""
    needs_act()
    bridge = engine("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")
    address = f"{bridge.rpartition('.')[0]}.1"  # this machine, as containers see it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("docker-config")))
        root = tmp_path_factory.mktemp("project")
        made = Project(root, registry_with_login, build_settings, address)
        try:
            yield made
        finally:
            made.deployed.down()
            ours = f"--filter=reference={registry_with_login.host}/acme/*"
            engine("rmi", "--force", *set(engine("images", "--quiet", ours).split()))


@pytest.fixture(scope="module")
def first(project) -> Run:
    """The run of the first push."""
    run = project.federate({"before": "0" * 40, "after": git(project.work, "rev-parse", "HEAD")})
    assert set(run.jobs.values()) == {"success"}, run.log
    return run


def tip(project) -> str:
    return git(project.github.origin, "rev-parse", "main")


def test_a_commit_of_a_notebook_yields_images_compose_files_and_a_summary(project, first):
    files = {
        path.name: path.read_bytes() for path in (first.artifacts / f"compose-{NAME}").iterdir()
    }
    assert {"server.yaml", "nginx.conf", "north.yaml", "south.yaml", "north.env.example"} <= set(
        files
    )
    assert "federation.yaml" not in files
    for name, content in files.items():
        assert (project.work / FOLDER / name).read_bytes() == content
    assert git(project.work, "log", "-1", "--format=%an") == "github-actions[bot]"
    for site in SITES:
        assert fingerprint(files[f"{site}.yaml"]) in first.summary
    for name in ("federator-link", f"{NAME}-client", f"{NAME}-server"):
        digest = first.summary.partition(f"{name}@")[2].partition("`")[0]
        assert Registry().digest(f"{project.registry.host}/acme/{name}@{digest}") == digest
        assert digest.encode() in files["server.yaml"] + files["north.yaml"]
    assert "docker compose run --rm link keygen" in first.summary
    assert project.registry.password not in first.log
