"""From a push to images, compose files and rounds: the real workflow files, run by act."""

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from fixtures.deployed import to_ourselves
from fixtures.hosted import Run, git, needs_act
from fixtures.rehearsals import PLAIN_TRAIN
from fixtures.workflow_project import FOLDER, NAME, SITES, Project, tip

from federator.images.registry import Registry
from federator.runtime.files import fingerprint

# Images are built first, and on a slow machine all takes its time: a limit is only a stop.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400)]
TOUCH = "$(touch$IFS$ARTIFACTS.x)"  # where a shell gets hold of it, there is a new file


@pytest.fixture(scope="module")
def project(engine, registry_with_login, build_settings, tmp_path_factory):
    """The project, before anything was built."""
    needs_act()
    bridge = engine("network", "inspect", "bridge", "--format={{(index .IPAM.Config 0).Subnet}}")
    address = f"{bridge.rpartition('.')[0]}.1"  # this machine, as containers see it
    with to_ourselves(engine, NAME, SITES), pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("docker-config")))
        root = tmp_path_factory.mktemp("project")
        yield Project(root, registry_with_login, build_settings, address)


@pytest.fixture(scope="module")
def first(project) -> Run:
    """The run of the first push."""
    run = project.federate({"before": "0" * 40, "after": git(project.work, "rev-parse", "HEAD")})
    project.github.pull()
    project.delivered = git(project.work, "rev-parse", "HEAD")
    assert run.jobs == {"Plan": "success", f"Images of {NAME}": "success", "Deliver": "success"}, (
        run
    )
    return run


def touched(project) -> list[Path]:
    """What a shell would have left that got hold of a hostile text."""
    return list(project.root.rglob("*.x"))


def test_a_commit_of_a_notebook_yields_images_compose_files_and_a_summary(project, first):
    made = first.artifacts / f"compose-{NAME}"
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    assert {"server.yaml", "nginx.conf", "north.yaml", "north.env.example"} <= files.keys()
    assert "federation.yaml" not in files
    for name, content in files.items():
        assert (project.work / FOLDER / name).read_bytes() == content, name
    show = ("log", "-1", "--format=%an", project.delivered)
    assert git(project.work, *show) == "github-actions[bot]"
    for site in SITES:
        assert fingerprint(files[f"{site}.yaml"]) in first.summary
    for name in ("federator-link", f"{NAME}-client", f"{NAME}-server"):
        image = f"{project.registry.host}/acme/{name}"
        (digest,) = re.findall(rf"`{image}[^`]*@(sha256:\w+)`", first.summary)
        assert Registry().digest(f"{image}@{digest}") == digest
        assert digest.encode() in files["server.yaml"] + files["north.yaml"]
    attested = (first.artifacts / "subjects").read_text()
    for digest, name in (line.split() for line in attested.splitlines()):
        assert f"{name}@sha256:{digest}".encode() in files["server.yaml"] + files["north.yaml"]
    assert len(attested.splitlines()) == 3
    assert "docker compose run --rm join " in first.summary
    assert project.registry.password not in first.log


@pytest.mark.usefixtures("first")
def test_a_pull_request_is_built_with_neither_login_nor_push(project, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    before = tip(project)
    base = git(project.work, "rev-list", "--max-parents=0", "HEAD")
    run = project.federate({"pull_request": {"number": 7, "base": {"sha": base}}}, "pull_request")
    assert run.jobs["Plan"] == run.jobs[f"Images of {NAME}"] == "success", run
    assert run.steps["Build"] == "success" and "Deliver" not in run.jobs
    assert not {"Log in", "Build and push", "Attach them"} & run.steps.keys()
    assert not (tmp_path / "config.json").exists() and tip(project) == before


@pytest.mark.usefixtures("first")
def test_a_registry_that_refuses_the_login_is_told_in_one_line(project, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    before = tip(project)
    run = project.federate({"ref": "refs/heads/main"}, "workflow_dispatch", password="wrong")
    assert (run.jobs["Plan"], run.jobs[f"Images of {NAME}"]) == ("success", "failure")
    (error,) = run.errors
    assert error.startswith(f"{project.registry.host} refuses the login")
    assert "DOCKERHUB_TOKEN" in error and "wrong" not in error
    assert tip(project) == before


@pytest.mark.usefixtures("first")
def test_a_push_that_concerns_no_federation_builds_nothing(project):
    with project.tried():
        (project.work / "README.md").write_text("about it\n")
        with (project.work / FOLDER / "north.yaml").open("a") as generated:
            generated.write("# by hand\n")
        run = project.push("a readme")
        assert run.jobs == {"Plan": "success"}
        assert f"| {NAME} | not concerned by these commits |" in run.summary


@pytest.mark.usefixtures("first")
def test_a_broken_notebook_ends_the_first_job_with_its_cell_and_line(project):
    wrong = "def train(net, trainloader, valloader, epochs):\n    rate = RATES"
    with project.tried():
        project.write(NAME, train=wrong)
        run = project.push("a typing error")
        assert run.jobs == {"Plan": "failure"}
        (error,) = run.errors
        assert error.startswith("tumours.ipynb: cell 7, line 2: ") and "RATES" in error
        assert error.splitlines()[0] in run.summary
        assert git(project.work, "log", "-1", "--format=%s") == "a typing error"


@pytest.mark.usefixtures("first")
def test_hostile_names_of_a_notebook_and_a_branch_are_harmless(project):
    branch, name = f"a'\"{TOUCH};b", f'it\'s "{TOUCH}";\n::error::no.ipynb'
    with project.tried():
        git(project.work, "checkout", "--quiet", "-b", branch)
        (project.work / "notebooks" / f"{NAME}.ipynb").rename(project.work / "notebooks" / name)
        file = project.work / FOLDER / "federation.yaml"
        named = json.dumps(f"../../notebooks/{name}")
        file.write_text(file.read_text().replace(f"../../notebooks/{NAME}.ipynb", named))
        git(project.work, "add", "--all")
        git(project.work, "commit", "--quiet", "--message=hostile")
        git(project.work, "push", "--quiet", "origin", branch)
        event = {"ref": f"refs/heads/{branch}", "after": git(project.work, "rev-parse", "HEAD")}
        run = project.federate(event, "workflow_dispatch")
        assert set(run.jobs.values()) == {"success"}, run
        who = git(project.github.origin, "log", "-1", "--format=%an", branch)
    assert who == "github-actions[bot]"
    assert not run.errors and not touched(project)


@pytest.mark.usefixtures("first")
def test_a_hostile_name_of_a_federation_is_refused(project):
    with project.tried():
        shutil.copytree(project.work / FOLDER, project.work / "compose" / TOUCH)
        run = project.push("a hostile federation")
        assert run.jobs == {"Plan": "failure"} and len(run.errors) == 1
        assert "the name of its folder must be" in run.errors[0] and not touched(project)


@pytest.fixture(scope="module")
def running(project, first):
    """The sites take the files of that very run, and the first rounds are dispatched."""
    for seed, site in enumerate(SITES):
        project.start_site(site, seed, first.artifacts / f"compose-{NAME}")
    keys = project.push("the sites' keys")
    assert "| tumours | as committed before |" in keys.summary
    assert "Nobody has to do anything." in keys.summary
    return project.rounds(rounds="3", request="abc")


def test_the_sites_of_that_run_train_with_the_server(project, running):
    assert running.jobs == {"Rounds": "success"}, running
    assert "after round   3, validation: " in running.log
    start = project.deployed.events("start")[0]
    assert (start["first_round"], start["last_round"]) == (1, 3)
    rounds = project.deployed.events("round")[:3]
    assert [event["round"] for event in rounds] == [1, 2, 3]
    assert all(part["ok"] for event in rounds for part in event["sites"].values())


def test_a_dispatch_tells_how_it_went_and_no_figure_of_a_single_site(running):
    assert "## tumours: rounds 1 to 3" in running.summary
    assert "**Finished after round 3.**" in running.summary
    assert "| all sites | Federation | 128 |" in running.summary
    assert "| north |" not in running.summary and "north (n =" not in running.log
    report = {path.name: path for path in (running.artifacts / "report").iterdir()}
    assert report.keys() == {"rounds.jsonl", "report.html", "manifest.json"}
    lines = [json.loads(line) for line in report["rounds.jsonl"].read_text().splitlines()]
    tested = [line["sites"] for line in lines if line["event"] == "test"]
    assert [set(sites) for sites in tested] == [{"all sites"}]
    assert not (running.artifacts / "model").exists()


@pytest.mark.usefixtures("running")
def test_a_dispatch_goes_on_from_the_last_model(project):
    before = project.deployed.events("round")[-1]["round"]
    more = project.rounds(rounds="2", epochs="2")
    assert more.jobs == {"Rounds": "success"}, more
    starts = project.deployed.events("start")
    first, second = starts[0], starts[-1]
    reached = (before + 1, before + 2, 2)
    assert (second["first_round"], second["last_round"], second["local_epochs"]) == reached
    assert second["run"] == first["run"]
    right = {
        event["round"]: sum(
            part["tables"]["confusion"][i][i] for part in event["sites"].values() for i in (0, 1)
        )
        for event in project.deployed.events("validation")
    }
    assert right.keys() >= {0, before, before + 1, before + 2}
    assert right[0] < min(right[before], right[before + 1], right[before + 2])


@pytest.mark.usefixtures("running")
def test_a_cancelled_job_stops_the_rounds_and_keeps_the_last_checkpoint(project):
    project.approve()
    process, run = project.github.begin(*project.dispatch(rounds="5000"))
    for line in process.stdout:
        run.lines.append(json.loads(line))
        if run.log.count("validation: ") >= 3:  # of the model that was there, and two rounds
            process.send_signal(signal.SIGINT)
            break
    run.lines.extend(map(json.loads, process.stdout))
    process.wait()
    assert run.steps["Stop the rounds"] == run.steps["Tell how they went"] == "success", run
    assert "**Stopped after round" in run.summary
    assert project.deployed.events("end")[-1]["state"] == "stopped"
    done = project.deployed.events("round")[-1]["round"]
    kept = project.deployed.compose("exec", "-T", "server", "find", "/results")
    assert f"round-{done:03d}.safetensors" in kept
    again = project.rounds(rounds="1")
    assert again.jobs == {"Rounds": "success"}, again
    assert project.deployed.events("start")[-1]["first_round"] == done + 1


@pytest.mark.usefixtures("running")
def test_a_server_file_that_the_coordinator_has_not_started_is_refused(project):
    before = project.deployed.events("start")
    project.approve()
    with project.tried():
        file = project.work / FOLDER / "server.yaml"
        file.write_text(
            file.read_text().replace("- store:/store\n", "- store:/store\n      - /:/host\n")
        )
        project.github.push("the machine's files for the server")
        run = project.github.run(*project.dispatch(rounds="1"))
        (error,) = run.errors
        assert (
            run.jobs == {"Rounds": "failure"} and "not what the coordinator last started" in error
        )
        assert "Run the rounds" not in run.steps
    assert project.deployed.events("start") == before


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    "asked",
    [
        {"federation": TOUCH},
        {"federation": f"tumours'; {TOUCH}; '"},
        {"federation": "tumours\n::add-path::x"},
        {"federation": "../../etc"},
        {"federation": "lungs"},
        {"rounds": f"1; {TOUCH}"},
        {"rounds": "--stop"},
        {"epochs": f"1\n{TOUCH}"},
        {"rounds": "-1", "mode": f'fresh"; {TOUCH}', "request": f"'{TOUCH}"},
    ],
    ids=str,
)
def test_a_hostile_dispatch_is_refused_in_one_line(project, asked):
    before = project.deployed.events("start")
    run = project.rounds(**asked)
    assert run.jobs == {"Rounds": "failure"} and len(run.errors) == 1
    assert "Run the rounds" not in run.steps and not touched(project)
    assert project.deployed.events("start") == before


@pytest.mark.usefixtures("running")
def test_of_two_federations_the_one_whose_notebook_changed_is_built(project):
    with project.tried():
        project.write("lungs")
        project.github.push("another federation")
        old = (project.work / FOLDER / "north.yaml").read_bytes()
        project.write(NAME, train=f"{PLAIN_TRAIN}\n    return None")
        run = project.push("a line in train")
        assert run.jobs == {"Plan": "success", f"Images of {NAME}": "success", "Deliver": "success"}
        assert "| lungs | not concerned by these commits |" in run.summary
        assert "| link | as before |" in run.summary and "| client | new |" in run.summary
        assert "+    return None" in run.summary
        assert (project.work / FOLDER / "north.yaml").read_bytes() != old
        assert not (project.work / "compose" / "lungs" / "server.yaml").exists()
        # The sites have not taken their new files: that is told before any round begins.
        asked = project.rounds(rounds="1")
        assert asked.jobs == {"Rounds": "failure"}
        assert "site north: outdated" in asked.log and "validation: " not in asked.log
        assert "north: outdated" in asked.summary and "new compose file" in asked.summary
