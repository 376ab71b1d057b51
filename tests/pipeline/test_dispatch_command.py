"""``federator dispatch``: how a federation is named, and what a person sees."""

import io
import os
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
from fakes.github import (
    GOOD,
    job,
    moment,
    step,
)
from fixtures.dispatched import RUN, order
from rich.console import Console
from typer.testing import CliRunner

from federator.cli import app
from federator.errors import FederationFileError, InputError
from federator.pipeline import dispatch


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
