"""Files beside a site's file that Compose reads with it."""

import json

import pytest
from fakes.images import IMAGES, lay_out, write

from federator.runtime.review.command import main

LOADED = {
    service: {"image": str(image).replace("@sha256:", ":sha256-"), "pull_policy": "never"}
    for service, image in (
        ("link", IMAGES.link),
        ("worker", IMAGES.client),
        ("join", IMAGES.link),
        ("check", IMAGES.client),
        ("review", IMAGES.link),
    )
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return write(lay_out(tmp_path_factory.mktemp("repository")))["north.yaml"]


@pytest.fixture
def folder(tmp_path, text):
    (tmp_path / "compose.yaml").write_text(text)
    return tmp_path


def reviewed(folder, capsys):
    status = main([str(folder / "compose.yaml")])
    said = capsys.readouterr()
    assert ("by telephone" in said.out) == (status == 0)
    return status, said.err


def test_the_override_of_a_bundle_names_the_same_images(folder, capsys):
    path = folder / "compose.override.yaml"
    path.write_text(json.dumps({"services": LOADED}))
    assert reviewed(folder, capsys) == (0, "")
    other = LOADED | {"worker": LOADED["link"]}
    path.write_text(json.dumps({"services": other}))
    status, said = reviewed(folder, capsys)
    assert status == 1 and "compose.override.yaml lies beside it, line 1: services.worker" in said


@pytest.mark.parametrize(
    "more",
    [
        {"services": {"worker": {"network_mode": "host"}}},
        {"services": {"worker": LOADED["worker"] | {"privileged": True}}},
        {
            "services": {
                "worker": {
                    "image": f"{IMAGES.client.host}/{IMAGES.client.repository}:latest",
                    "pull_policy": "never",
                }
            }
        },
        {"services": {"spy": {"image": "alpine"}}},
        {"services": LOADED, "volumes": {"keys": {"external": True}}},
        [],
    ],
)
@pytest.mark.parametrize("name", ["compose.override.yml", "docker-compose.override.yaml"])
def test_another_override_is_refused(folder, capsys, name, more):
    (folder / name).write_text(json.dumps(more))
    status, said = reviewed(folder, capsys)
    assert status == 1 and f"Do not accept compose.yaml: {name} lies beside it, " in said


@pytest.mark.parametrize("what", ["services: !reset null\n", "{", "\x00"])
def test_what_is_no_override_is_refused(folder, capsys, what):
    (folder / "compose.override.yaml").write_text(what)
    assert reviewed(folder, capsys)[0] == 1


@pytest.mark.parametrize(
    "line",
    [
        "COMPOSE_FILE=compose.yaml:more.yaml",
        " export COMPOSE_FILE = more.yaml",
        "COMPOSE_FILE: more.yaml",
        "COMPOSE_ENV_FILES=a.env",
    ],
)
def test_settings_that_name_other_files_are_refused(folder, capsys, line):
    (folder / ".env").write_text(f"# COMPOSE_FILE=x\nDATA_DIR=/data\n{line}\n")
    status, said = reviewed(folder, capsys)
    assert status == 1 and ".env, line 3: COMPOSE_" in said


def test_other_settings_are_the_site_s_own(folder, capsys):
    (folder / ".env").write_text("DATA_DIR=/data\n#COMPOSE_FILE=x\nMY_COMPOSE_FILE=1\n")
    assert reviewed(folder, capsys) == (0, "")


def test_settings_that_cannot_be_read_are_not_passed_over(folder, capsys):
    (folder / ".env").mkdir()
    status, said = reviewed(folder, capsys)
    assert status == 1 and ".env cannot be read" in said
