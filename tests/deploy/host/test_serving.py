"""``federator serve`` makes what is missing, once, and starts nothing that nobody has read.

Docker is a program that notes what it was asked; the images are those of a registry of ours.
"""

import json

import pytest
from fakes.images import IMAGES, MODEL_BYTES, lay_out
from fixtures.command_line import call

from federator.deploy.host import serving
from federator.deploy.host.serving import Serving
from federator.deploy.server_file import approval
from federator.images import model_size


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """Put a program there that notes what Docker is asked; return what reads it."""
    folder, noted = tmp_path / "bin", tmp_path / "asked.txt"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(f'#!/bin/sh\necho "$@" >> {noted}\n[ ! -e {folder}/fails ]\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")

    def asked():
        return noted.read_text().splitlines() if noted.exists() else []

    return asked


@pytest.fixture
def federation(tmp_path, monkeypatch):
    """A federation whose images can be built at once."""
    read = lay_out(tmp_path / "repository")
    for file in (read.folder / "public").iterdir():
        file.unlink()

    def build(_, components, push):
        assert push
        written = {name: str(image) for name, image in IMAGES.by_name().items()}
        (components.folder / "images.json").write_text(json.dumps(written))
        return IMAGES

    monkeypatch.setattr(serving.images, "build", build)
    monkeypatch.setattr(model_size, "model_bytes", lambda *_: MODEL_BYTES)
    return read


def contents(federation):
    return {
        path: path.read_bytes()
        for path in federation.folder.rglob("*")
        if path.is_file() and path.name != "started"
    }


def done(federation):
    """Have what is missing made; return what is said of it, without warnings."""
    return [told for told in Serving(federation).prepare() if isinstance(told, str)]


def test_it_makes_what_is_missing_and_says_so_and_then_nothing(federation):
    keys, images, files = done(federation)
    assert keys.startswith("keys: made ") and "coordinator.pub" in keys
    assert images.startswith("images: link, client, ") and images.endswith(" pushed")
    assert files.startswith("files: wrote server.yaml, ") and "north.yaml" in files
    before = contents(federation)
    keys, images, files = done(federation)
    assert keys.startswith("keys: there are all, ")
    assert (images, files) == ("images: nothing has changed", "files: nothing has changed")
    assert contents(federation) == before


def test_nothing_is_started_that_nobody_has_read(federation, docker):
    done = call("serve", federation.folder)
    assert done.exit_code == 2 and docker() == []
    assert "not started; new or changed: " in done.stderr and "server.yaml" in done.stderr
    assert f"federator serve {federation.folder} --have-read" in done.stderr
    assert not approval.is_approved(federation)


def test_what_was_read_is_started_and_started_again(federation, docker):
    for options in (["--have-read"], []):
        done = call("serve", federation.folder, *options)
        assert done.exit_code == 0, done.stderr
        assert "server: up; sites reach it at fl.example.org:443" in done.stdout
        assert f"federator invite {federation.folder} north" in done.stdout
    file = federation.folder / "server.yaml"
    up = f"compose --file {file} up --detach --wait --quiet-pull"
    assert docker() == [up, up]


@pytest.mark.usefixtures("docker")
def test_a_file_that_has_changed_is_to_be_read_again(federation):
    call("serve", federation.folder, "--have-read")
    gateway = federation.folder / "nginx.conf"
    approved = gateway.read_bytes()
    assert approval.is_approved(federation)
    gateway.write_bytes(approved + b"# more\n")
    assert not approval.is_approved(federation)
    assert [path.name for path in Serving(federation).unread] == ["server.yaml", "nginx.conf"]


def test_a_server_that_may_not_be_is_not_started_whoever_has_read_it(
    federation, docker, monkeypatch
):
    """What `approve` refuses, is refused here, too."""
    list(Serving(federation).prepare())
    (federation.folder / "nginx.conf").write_text("events {}\n")
    monkeypatch.setattr(Serving, "prepare", lambda _: iter(()))
    done = call("serve", federation.folder, "--have-read")
    assert done.exit_code == 2 and "nginx.conf: is not what this version" in done.stderr
    assert docker() == []


def test_orders_go_to_the_signer_and_rounds_to_the_server(federation, docker):
    call("serve", federation.folder, "--have-read")
    compose = f"compose --file {federation.folder / 'server.yaml'}"
    inside = f"{compose} exec --no-TTY server federator rounds"
    done = call("rounds", federation.folder, "--rounds", "3", "--fresh", "--no-baselines")
    assert done.exit_code == 0
    order = f"{compose} run --rm --no-TTY order"
    assert docker()[-2:] == [f"{order} --rounds 3 --fresh --no-baselines", inside]
    call("rounds", federation.folder, "--follow")
    assert docker()[-1] == f"{inside} --follow" and len(docker()) == 4
    call("rounds", federation.folder, "--stop")
    assert docker()[-2:] == [f"{inside} --stop", f"{order} --stop"]
    done = call("rounds", federation.folder, "--follow", "--rounds", "3")
    assert done.exit_code == 2 and "--follow takes no order" in done.stderr


def test_an_order_that_is_refused_begins_no_rounds(federation, docker, tmp_path):
    call("serve", federation.folder, "--have-read")
    (tmp_path / "bin" / "fails").touch()
    assert call("rounds", federation.folder, "--rounds", "3").exit_code == 1
    assert docker()[-1].endswith("order --rounds 3")


def test_results_logs_and_stop(federation, docker, tmp_path):
    call("serve", federation.folder, "--have-read")
    compose = f"compose --file {federation.folder / 'server.yaml'}"
    target = tmp_path / "results"
    assert call("results", federation.folder, target).exit_code == 0
    assert docker()[-1] == f"{compose} cp server:/results/tumours/. {target}"
    assert call("logs", federation.folder).exit_code == 0
    assert docker()[-1] == f"{compose} logs"
    assert call("stop", federation.folder).exit_code == 0
    assert docker()[-1] == f"{compose} stop"


@pytest.mark.parametrize("command", ["results", "logs", "stop", "rounds"])
def test_before_the_server_is_there_the_way_is_told(federation, docker, command):
    done = call(command, federation.folder)
    assert done.exit_code == 2 and docker() == []
    assert f"federator serve {federation.folder}" in done.stderr


def test_in_no_container_rounds_ask_for_the_folder():
    done = call("rounds")
    assert done.exit_code == 2
    assert "the server's container only" in done.stderr
    assert "on the server's machine: federator rounds compose/NAME" in done.stderr
