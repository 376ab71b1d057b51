"""Rounds ordered and followed through a GitHub on this machine."""

import io
import os
import re
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from fakes.github import (
    CUT,
    GOOD,
    LOST,
    READER,
    REPOSITORY,
    WORKFLOW,
    GitHub,
    job,
    moment,
    step,
    zipped,
)
from fakes.http_service import running
from fixtures.small_notebook import federate
from rich.console import Console
from typer.testing import CliRunner

from federator.cli import app
from federator.common import http_client
from federator.errors import FederationFileError, FederatorError, InputError, RunError
from federator.pipeline import dispatch
from federator.pipeline.github import Actions
from federator.pipeline.github_errors import GitHubError, NotFoundError

RUN = 30433642
START = f"POST /actions/workflows/{WORKFLOW}/dispatches"


@pytest.fixture
def hub():
    with running(GitHub()) as hub:
        yield hub


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A clone of the repository, in which we are."""
    federate(tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    origin = f"https://127.0.0.1/{REPOSITORY}.git"
    subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", origin], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def order(hub, limit=5.0, appears=0.1, token=GOOD):
    patience = http_client.Patience(limit=limit, pause=0.01)
    actions = Actions(REPOSITORY, hub.url, token, patience)
    found = dispatch.find(Path("tumours"))
    return dispatch.Dispatch(found, actions, interval=0.01, appears=appears)


def follow(ordered, **asked):
    """Every line that is told until the end, or until the error that ends it."""
    lines = []
    try:
        with ordered.resumable():
            for news in ordered.events(**asked):
                lines += news.lines
    except FederatorError as error:
        return lines, error
    return lines, None


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("asked", "ref", "inputs"),
    [
        ({"rounds": 3}, "main", {"rounds": "3", "mode": "resume"}),
        (
            {"rounds": 5, "epochs": 2, "fresh": True, "branch": "next"},
            "next",
            {"rounds": "5", "epochs": "2", "mode": "fresh"},
        ),
    ],
)
def test_rounds_from_the_order_to_the_report(hub, asked, ref, inputs):
    lines, error = follow(order(hub), **asked)
    assert error is None
    (sent,) = hub.orders
    request = sent["inputs"].pop("request")
    assert re.fullmatch("[0-9a-f]{16}", request)
    assert sent["ref"] == ref
    assert sent["inputs"] == {"federation": "tumours", **inputs}
    folder = Path.cwd() / "results" / "tumours" / f"dispatch-{RUN}"
    assert lines == [
        f"run {RUN}: https://github.example/{REPOSITORY}/actions/runs/{RUN}",
        "to follow it again: federator dispatch compose/tumours "
        f"--follow {RUN} --repository {REPOSITORY}",
        "rounds: Start the rounds",
        f"report: {folder} (report.html, rounds.jsonl)",
    ]
    assert (folder / "report.html").read_text() == "<p>0.97</p>"


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("details", [False, None])
def test_the_run_is_found_among_others_by_its_title(hub, details):
    hub.details = details
    hub.titles = {5: "tumours (another)", RUN: "overwritten", 9: "tumours ()"}
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert lines[0].startswith(f"run {RUN}: ")


@pytest.mark.usefixtures("repository")
def test_a_run_that_does_not_appear(hub):
    hub.details, hub.shows_runs = False, False
    lines, error = follow(order(hub), rounds=3)
    assert not lines
    assert "no run appears for the order" in str(error)
    assert f"look at https://github.example/{REPOSITORY}/actions/workflows/{WORKFLOW}" in str(error)


@pytest.mark.usefixtures("repository")
def test_a_lost_answer_starts_no_second_run(hub):
    hub.trouble[START] = [LOST]
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert "looking whether the order arrived" in lines[0]
    assert len(hub.orders) == 1


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("answer", [CUT, (503, {}, "Unavailable")])
def test_an_order_that_did_not_arrive_is_left_to_the_user(hub, answer):
    hub.trouble[START] = [answer]
    _, error = follow(order(hub), rounds=3)
    assert "before you order them again" in str(error)
    assert not hub.orders
    assert hub.count("POST", "/dispatches") == 1


@pytest.mark.usefixtures("repository")
def test_a_network_that_goes_with_the_order(hub):
    hub.trouble[START] = [LOST]
    hub.trouble[f"GET /actions/workflows/{WORKFLOW}/runs"] = [CUT] * 100
    _, error = follow(order(hub, limit=0.05), rounds=3)
    assert "the rounds may have been started" in str(error)
    assert f"/actions/workflows/{WORKFLOW}" in str(error)


@pytest.mark.usefixtures("repository")
def test_what_a_run_waits_for_is_said_once(hub):
    ada = {"type": "User", "reviewer": {"login": "ada"}}
    hub.waits_for = [{"environment": {"name": "server"}, "reviewers": [ada], "wait_timer": 0}]
    steps = [step("Check out"), step("Start the rounds", "in_progress")]
    hub.moments = [
        moment("pending"),
        moment("pending"),
        moment("waiting", jobs=[job("rounds", "waiting")]),
        moment("waiting", jobs=[job("rounds", "waiting")]),
        moment("queued", jobs=[job("rounds", "queued")]),
        moment("in_progress", jobs=[job("rounds", "in_progress", steps=steps)]),
        moment(jobs=[job("rounds", steps=[step("Check out"), step("Start the rounds")])]),
    ]
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert [re.sub(":? https.*|self-hosted.*", "", line) for line in lines[2:-1]] == [
        "waits in the queue until a run before it has ended",
        "waits for the approval of ada to use server",
        "rounds: waits until a runner labelled ",
        "rounds: Check out",
        "rounds: Start the rounds",
    ]


@pytest.mark.usefixtures("repository")
def test_who_approves_may_be_hidden(hub):
    hub.moments = [moment("waiting"), moment()]
    path = f"GET /actions/runs/{RUN}/pending_deployments"
    hub.trouble[path] = [(403, {}, "Resource not accessible by personal access token")]
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert any(line.startswith("waits for an approval: https://") for line in lines)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("conclusion", ["failure", "cancelled"])
def test_a_run_that_fails_is_an_error_and_its_report_is_kept(hub, conclusion):
    steps = [step("Check out"), step("Start the rounds", conclusion=conclusion)]
    hub.moments = [
        moment(conclusion=conclusion, jobs=[job("rounds", "completed", conclusion, steps)])
    ]
    lines, error = follow(order(hub), rounds=3)
    assert isinstance(error, RunError)
    assert "job rounds, step Start the rounds\n    see https://" in str(error)
    assert lines[-1].startswith("report: ")


@pytest.mark.usefixtures("repository")
def test_no_report(hub):
    hub.report = None
    lines, error = follow(order(hub), rounds=3)
    assert error is None
    assert lines[-1] == f"run {RUN} has no report"
    assert not Path("results").exists()


@pytest.mark.usefixtures("repository")
def test_a_bad_report_does_not_hide_that_the_run_failed(hub):
    hub.moments, hub.report = [moment(conclusion="timed_out")], zipped({"../../x": "out"})
    _, error = follow(order(hub), rounds=3)
    assert f"run {RUN} ran out of time" in str(error)
    assert "the zip holds '../../x': nothing was written" in str(error)
    assert not Path("results").exists()


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("answer", [CUT, (502, {}, "Bad gateway")])
def test_a_network_that_comes_back(hub, caplog, answer):
    hub.moments = [moment("in_progress"), moment()]
    hub.trouble[f"GET /actions/runs/{RUN}/jobs"] = [answer, answer]
    _, error = follow(order(hub), rounds=3)
    assert error is None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert all("trying again in 0 s" in line for line in said)


@pytest.mark.usefixtures("repository")
def test_a_network_that_stays_away_and_the_way_back(hub):
    hub.moments = [moment("in_progress"), moment()]
    hub.trouble[f"GET /actions/runs/{RUN}/jobs"] = [CUT] * 100
    _, error = follow(order(hub, limit=0.05), rounds=3)
    assert error.exit_code == 1
    assert f"run {RUN} continues\n    to follow it again: federator dispatch" in str(error)
    hub.trouble.clear()
    lines, error = follow(order(hub), follow=RUN)
    assert error is None
    assert lines[-1].startswith("report: ")
    assert len(hub.orders) == 1


@pytest.mark.usefixtures("repository")
def test_a_report_that_does_not_come_through(hub):
    hub.trouble["storage"] = [10]
    _, error = follow(order(hub), rounds=3)
    assert "the line to localhost broke" in str(error)
    assert f"run {RUN} has ended\n    to follow it again" in str(error)
    assert follow(order(hub), follow=RUN)[1] is None


@pytest.mark.usefixtures("repository")
def test_a_run_that_is_deleted(hub):
    hub.moments = [moment("in_progress")]
    events = (ordered := order(hub)).events(rounds=3)
    with pytest.raises(NotFoundError, match=f"has no run {RUN}") as raised, ordered.resumable():
        for _ in range(3):
            next(events)
        hub.titles.clear()
        next(events)
    assert "follow it again" not in str(raised.value)


@pytest.mark.usefixtures("repository")
def test_what_is_refused_starts_nothing(hub):
    for token, words in ((READER, "actions: write"), ("ghp_stale", "does not accept the token")):
        _, error = follow(order(hub, token=token), rounds=3)
        assert isinstance(error, GitHubError)
        assert words in str(error)
        assert "ordered" not in str(error)
    assert not hub.orders


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize("asked", [{}, {"rounds": 3, "follow": 7}])
def test_either_rounds_or_a_run(hub, asked):
    _, error = follow(order(hub), **asked)
    assert isinstance(error, InputError)
    assert not hub.asked


@pytest.mark.parametrize("where", [".", "compose", "compose/tumours"])
@pytest.mark.parametrize("absolute", [True, False])
def test_forms_of_a_federation(repository, where, absolute):
    folder = repository / "compose" / "tumours"
    with chdir(repository / where):
        for path in (folder, folder / "federation.yaml"):
            given = path if absolute else Path(os.path.relpath(path))
            assert dispatch.find(given).folder == folder
    with chdir(repository):
        assert dispatch.find(Path("tumours")).folder == folder


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    "name", ["tumour", "$(touch x)", "../tumours", "tu\nmours", "--fresh", "", "Tumours", "x" * 300]
)
def test_what_is_no_federation(name):
    with pytest.raises(FederationFileError) as raised:
        dispatch.find(Path(name))
    if name in ("tumour", "Tumours"):
        assert "did you mean tumours?" in str(raised.value)


@pytest.mark.usefixtures("repository")
def test_a_federation_where_the_workflow_does_not_look():
    Path("compose", "tumours").rename("tumours")
    text = Path("tumours", "federation.yaml").read_text().replace("../../", "../")
    Path("tumours", "federation.yaml").write_text(text)
    with pytest.raises(InputError, match="not in a folder named compose"):
        dispatch.find(Path("tumours").resolve())


@pytest.mark.usefixtures("repository")
def test_a_hostile_name_that_exists_is_refused():
    Path("compose", "tumours").rename(Path("compose", "$(touch x)"))
    with pytest.raises(FederationFileError, match="the name of its folder must be"):
        dispatch.find(Path("compose", "$(touch x)"))


@pytest.mark.usefixtures("repository")
def test_a_bar_where_there_is_a_terminal(hub):
    hub.moments = [
        moment(
            "in_progress",
            jobs=[job("rounds", "in_progress", steps=[step("One"), step("Two", "queued")])],
        ),
        moment(jobs=[job("rounds", steps=[step("One"), step("Two")])]),
    ]
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=200)
    dispatch.watch(order(hub).events(rounds=3), console)
    assert "rounds: Two" in written.getvalue()
    assert "2/2" in written.getvalue()


@pytest.fixture
def environment(hub, monkeypatch):
    monkeypatch.setenv("GITHUB_API_URL", hub.url)
    monkeypatch.setenv("GITHUB_TOKEN", GOOD)
    monkeypatch.delenv("GH_TOKEN", raising=False)


def call(*arguments):
    return CliRunner().invoke(app, ["dispatch", *arguments])


@pytest.mark.usefixtures("repository", "environment")
def test_the_command(hub):
    result = call("tumours", "--rounds", "3")
    assert result.exit_code == 0
    assert f"run {RUN}: https://" in result.stdout
    assert "report: " in result.stdout
    hub.moments = [moment(conclusion="failure")]
    result = call("tumours", "--follow", str(RUN))
    assert result.exit_code == 1
    assert f"run {RUN} failed" in result.stderr
    assert len(hub.orders) == 1


@pytest.mark.usefixtures("repository", "environment")
@pytest.mark.parametrize(
    ("arguments", "unset", "words"),
    [
        (["tumour", "--rounds", "3"], None, "did you mean tumours?"),
        (["tumours", "--rounds", "3"], "GITHUB_TOKEN", "no token for GitHub"),
        (["tumours", "--rounds", "3", "--repository", "$(touch x)"], None, "owner/name"),
        (
            ["tumours", "--rounds", "3"],
            "GITHUB_API_URL",
            "origin is at 127.0.0.1, not at github.com",
        ),
        (["tumours", "--rounds", "0"], None, "rounds"),
        (["tumours"], None, "give either --rounds, or --follow"),
    ],
)
def test_mistakes_are_told_before_anything_is_sent(hub, monkeypatch, arguments, unset, words):
    if unset:
        monkeypatch.delenv(unset)
    result = call(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert not hub.asked


@pytest.mark.usefixtures("repository", "environment")
def test_ctrl_c_ends_the_view_and_not_the_rounds(hub):
    hub.moments = [moment("in_progress", jobs=[job("rounds", "in_progress", steps=[step("One")])])]
    code = "from federator.cli import main; main()"
    command = [sys.executable, "-c", code, "dispatch", "tumours", "--rounds", "3"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=120)
    assert lines[2] == "rounds: One\n"
    assert process.returncode == 130
    assert said.startswith(
        f"stopped\nrun {RUN} continues\n    to follow it again: federator dispatch"
    )
    assert GOOD not in "".join(lines) + rest + said
