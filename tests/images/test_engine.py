import pytest

from federator.images import engine


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A PATH without docker."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def stand_in(path, said, status=1):
    """Puts a program there that says what docker would say."""
    program = path / "docker"
    program.write_text(f"#!/bin/sh\n/bin/cat >&2 <<'END'\n{said}\nEND\nexit {status}\n")
    program.chmod(0o755)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("run", [engine.docker, engine.show])
def test_without_docker(run):
    with pytest.raises(engine.EngineError, match="docker cannot be started") as raised:
        run("info")
    assert "install Docker" in str(raised.value)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "DOCKER_HOST"),
        ("permission denied while trying to connect to the Docker daemon socket", "group"),
        ("0.9 ERROR: No matching distribution found for x\n------\nERROR: failed", "build:"),
        ("write /var/lib/x: no space left on device", "make room"),
        ("denied: requested access to the resource is denied", "docker login"),
        ("unauthorized: authentication required", "docker login"),
    ],
)
def test_failures_are_explained(path, said, hint, capsys):
    stand_in(path, said)
    for run in (engine.docker, engine.show):
        with pytest.raises(engine.EngineError) as raised:
            run("push", "x")
        assert f"docker push failed: {said.splitlines()[-1]}" in str(raised.value)
        assert hint in (raised.value.problems[0].hint or "")
    assert capsys.readouterr().err == f"{said}\n"  # of show alone


def test_an_image_that_is_not_there(path):
    stand_in(path, "Error: No such image: acme/link")
    assert not engine.has("acme/link")
    stand_in(path, "Cannot connect to the Docker daemon")
    with pytest.raises(engine.EngineError):
        engine.has("acme/link")


REASON = "docker: Error response from daemon: lookup registry.example.org: no such host"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (f"{REASON}\n\nRun 'docker run --help' for more information", REASON),
        (f"{REASON}.\nSee 'docker run --help'.", f"{REASON}."),
        (
            "docker: 'buildx' is not a docker command.\nSee 'docker --help'",
            "is not a docker command",
        ),
        (
            "docker: 'docker tag' requires 2 arguments\n\nUsage:  docker tag SOURCE TARGET\n\n"
            "Create a tag TARGET that refers to SOURCE",
            "requires 2 arguments",
        ),
        ("ERROR: failed to solve: x: not found\n\nView build details: docker://1", "not found"),
        ("ERROR: no builder\nWhat's next:\n    Debug this build →", "no builder"),
        (
            "unable to prepare: x\nFor more help on how to use it, head to x",
            "prepare: x",
        ),
        ("Error: a\n------\n", "Error: a"),
        ("Run 'docker run --help' for more information", "Run 'docker run --help'"),
        ("", "it printed nothing"),
    ],
)
def test_the_reason_is_told_and_not_where_to_read_on(path, said, reason):
    stand_in(path, said, 125)
    for run in (engine.docker, engine.show):
        with pytest.raises(engine.EngineError) as raised:
            run("run", "x")
        message = raised.value.problems[0].message
        assert message.startswith("docker run failed: ")
        assert reason in message
        assert "\n" not in message
