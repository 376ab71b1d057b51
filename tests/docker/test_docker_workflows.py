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
    """The newest commit at "GitHub"."""
    return git(project.github.origin, "rev-parse", "main")


def test_a_commit_of_a_notebook_yields_images_compose_files_and_a_summary(project, first):
    made = first.artifacts / f"compose-{NAME}"
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    assert {"server.yaml", "nginx.conf", "north.yaml", "north.env.example"} <= files.keys()
    assert "federation.yaml" not in files
    for name, content in files.items():
        assert (project.work / FOLDER / name).read_bytes() == content
    assert git(project.work, "log", "-1", "--format=%an") == "github-actions[bot]"
    for site in SITES:
        assert fingerprint(files[f"{site}.yaml"]) in first.summary
    for name in ("federator-link", f"{NAME}-client", f"{NAME}-server"):
        image = re.search(
            rf"`({project.registry.host}/acme/{name}[^@`]*@sha256:\w+)`", first.summary
        )
        assert Registry().digest(image[1]) == image[1].partition("@")[2]
        assert image[1].partition("@")[2].encode() in files["server.yaml"] + files["north.yaml"]
    assert "docker compose run --rm link keygen" in first.summary
    assert project.registry.password not in first.log


@pytest.fixture(scope="module")
def running(project, first):
    """The sites take the files of that very run, and the first rounds are dispatched."""
    for seed, site in enumerate(SITES):
        project.start_site(site, seed, first.artifacts / f"compose-{NAME}")
    keys = project.federate(project.github.push("the sites' keys"))
    assert "| tumours | as committed before |" in keys.summary
    assert "Nobody has to do anything." in keys.summary
    return project.rounds(rounds="3", request="abc")


def test_the_sites_of_that_run_train_with_the_server(project, running):
    assert running.jobs == {"Rounds": "success"}, running.log
    assert "after round   3, validation: loss" in running.log
    (start,) = project.deployed.events("start")
    assert (start["first_round"], start["last_round"]) == (1, 3)
    rounds = project.deployed.events("round")
    assert [event["round"] for event in rounds] == [1, 2, 3]
    assert all(part["ok"] for event in rounds for part in event["sites"].values())


def test_a_dispatch_tells_how_it_went_and_no_figure_of_a_single_site(project, running):
    assert "## tumours: rounds 1 to 3" in running.summary
    assert "**Finished after round 3.**" in running.summary
    assert "| all sites | Federation | 128 |" in running.summary
    assert "| north |" not in running.summary + running.log
    report = running.artifacts / "report"
    assert {path.name for path in report.iterdir()} == {
        "rounds.jsonl",
        "report.html",
        "manifest.json",
    }
    lines = [json.loads(line) for line in (report / "rounds.jsonl").read_text().splitlines()]
    assert {site for line in lines if line["event"] == "test" for site in line["sites"]} == {
        "all sites"
    }
    assert not (running.artifacts / "model").exists()


def test_a_dispatch_goes_on_from_the_last_model(project, running):
    more = project.rounds(rounds="2", epochs="2")
    assert more.jobs == {"Rounds": "success"}, more.log
    first, second = project.deployed.events("start")
    assert (second["first_round"], second["last_round"], second["local_epochs"]) == (4, 5, 2)
    assert second["run"] == first["run"]
    assert "after round   3" in more.log and "after round   5" in more.log
    accuracy = {
        event["round"]: sum(sum(row[i] for i, row in enumerate(part["counts"]))
                            for part in event["sites"].values())
        for event in project.deployed.events("validation")
        if event["model"] == "federation"
    }  # fmt: skip
    assert accuracy[4] > accuracy[0] and accuracy[5] >= accuracy[3]


def test_a_cancelled_job_stops_the_rounds_and_keeps_the_last_checkpoint(project, running):
    process, run = project.github.begin(*project.dispatch(rounds="5000"))
    for line in process.stdout:
        run.lines.append(json.loads(line))
        if "after round   8" in run.lines[-1]["msg"]:
            process.send_signal(signal.SIGINT)
            break
    run.lines.extend(json.loads(line) for line in process.stdout)
    process.wait()
    assert run.steps["Stop the rounds"] == run.steps["Tell how they went"] == "success", run.log
    assert "**Stopped after round" in run.summary
    end = project.deployed.events("end")[-1]
    assert end["state"] == "stopped"
    done = project.deployed.events("round")[-1]["round"]
    kept = project.deployed.compose("exec", "-T", "server", "sh", "-c", "'ls /results/tumours/2*'")
    assert f"round-{done:03d}.safetensors" in kept
    again = project.rounds(rounds="1")
    assert again.jobs == {"Rounds": "success"}, again.log
    assert project.deployed.events("start")[-1]["first_round"] == done + 1


@pytest.mark.parametrize(
    "asked",
    [
        {"federation": "$(touch x)"},
        {"federation": "../../etc"},
        {"federation": "tumours'; touch x; '"},
        {"federation": "tumours\n::add-path::x"},
        {"federation": "lungs"},
        {"rounds": "1; touch x"},
        {"rounds": "0"},
        {"rounds": "--stop"},
        {"epochs": "$(touch x)"},
        {"mode": "fresh; touch x", "rounds": "-1"},
    ],
    ids=str,
)
def test_a_hostile_dispatch_is_refused_in_one_line(project, running, asked):
    before = project.deployed.events("start")
    run = project.rounds(**asked)
    assert run.jobs == {"Rounds": "failure"}
    assert len(run.errors) == 1
    assert "Run the rounds" not in run.steps or run.steps["Run the rounds"] == "skipped"
    assert not list(project.root.rglob("x"))
    assert project.deployed.events("start") == before


def test_a_push_that_concerns_no_federation_builds_nothing(project, first):
    (project.work / "README.md").write_text("about it\n")
    (project.work / FOLDER / "north.yaml").open("a").write("# by hand\n")
    run = project.federate(project.github.push("a readme"))
    assert run.jobs == {"Plan": "success"}
    assert "not concerned by these commits" in run.summary
    git(project.work, "revert", "--no-edit", "HEAD")
    git(project.work, "push", "--quiet", "origin", "HEAD:main")


def test_of_two_federations_the_one_whose_notebook_changed_is_built(project, first):
    project.write("lungs")
    project.github.push("another federation")
    old = (project.work / FOLDER / "north.yaml").read_bytes()
    project.write(NAME, train=f"{PLAIN_TRAIN}\n    return None")
    run = project.federate(project.github.push("a line in train"))
    assert run.jobs == {"Plan": "success", f"Images of {NAME}": "success", "Deliver": "success"}
    assert "| lungs | not concerned by these commits |" in run.summary
    assert "| link | as before |" in run.summary and "| client | new |" in run.summary
    assert "+      return None" in run.summary
    assert (project.work / FOLDER / "north.yaml").read_bytes() != old
    assert not (project.work / "compose" / "lungs" / "server.yaml").exists()


def test_outdated_sites_are_told_before_anything_starts(project, running):
    run = project.rounds(rounds="1")
    assert run.jobs == {"Rounds": "failure"}
    before, told, after = run.log.partition("site north: outdated")
    assert told and "after round" not in before + after
    assert "north: outdated" in run.summary and "new compose file" in run.summary
    assert "Error" in run.log or run.errors


def test_a_broken_notebook_ends_the_first_job_with_its_cell_and_line(project, first):
    project.write(NAME, train="def train(net, trainloader, valloader, epochs):\n    rate = RATES")
    before = tip(project)
    event = project.github.push("a typing error")
    run = project.federate(event)
    assert run.jobs == {"Plan": "failure"}
    (error,) = run.errors
    assert error.startswith("tumours.ipynb: cell 7, line 2: ") and "RATES" in error
    assert error in run.summary
    assert tip(project) == event["after"] != before
    git(project.work, "revert", "--no-edit", "HEAD")
    git(project.work, "push", "--quiet", "origin", "HEAD:main")


@pytest.mark.parametrize("name", ["$(touch x)", "it's; touch x", 'a"b', "..", "a\nb"])
def test_a_notebook_or_a_branch_of_a_hostile_name_is_harmless(project, first, name): ...


def test_a_registry_that_refuses_the_login(project, first, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    before = tip(project)
    run = project.federate(ALL, password="wrong")
    assert run.jobs[f"Images of {NAME}"] == "failure"
    (error,) = run.errors
    assert error.startswith(f"{project.registry.host} refuses the login")
    assert tip(project) == before


def test_a_pull_request_is_built_with_neither_login_nor_push(project, first, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    before = tip(project)
    event = {
        "pull_request": {"number": 7, "base": {"sha": git(project.work, "rev-parse", "HEAD~1")}}
    }
    run = project.federate(event, "pull_request")
    assert set(run.jobs.values()) == {"success"}, run.log
    assert "Log in" not in run.steps and "Deliver" not in run.jobs
    assert tip(project) == before
