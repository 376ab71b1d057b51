"""Logins, as ``docker login`` and credential helpers leave them."""

import base64
import json

import pytest

from federator.errors import InputError
from federator.images.login import Login, docker_login, log_in

PAIR = base64.b64encode(b"ada:correct:horse").decode()
ADA = Login("ada", "correct:horse")
HELPER = """#!/bin/sh
read -r key
[ "$1 $key" = "get ghcr.io" ] || { echo "credentials not found"; exit 1; }
echo '{"ServerURL": "ghcr.io", "Username": "%s", "Secret": "correct:horse"}'
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def write(folder, **settings):
    (folder / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("key", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "docker.io"),
        ("ghcr.io", "ghcr.io"),
        ("https://ghcr.io", "ghcr.io"),
        ("https://registry.example:5000/v2/", "registry.example:5000"),
    ],
)
def test_written_in_the_file(folder, key, host):
    write(
        folder, auths={"other.example": {"auth": "bm86bm8="}, key: {"auth": PAIR}}, HttpHeaders={}
    )
    assert docker_login(host) == ADA
    assert docker_login("third.example") is None


def test_nobody_is_logged_in(folder, monkeypatch):
    assert docker_login("docker.io") is None
    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setenv("HOME", str(folder))
    assert docker_login("docker.io") is None
    (folder / ".docker").mkdir()
    write(folder / ".docker", auths={"ghcr.io": {"auth": PAIR}})
    assert docker_login("ghcr.io") == ADA


def test_a_token_for_tokens(folder):
    write(folder, auths={"ghcr.io": {"auth": "YWRhOg==", "identitytoken": "refresh"}})
    assert docker_login("ghcr.io") == Login("ada", "refresh", is_token=True)


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        ({"credsStore": "vault"}, "ada"),
        ({"credHelpers": {"ghcr.io": "vault"}, "credsStore": "absent"}, "ada"),
        ({"credHelpers": {"ghcr.io": "vault"}}, "<token>"),
    ],
)
def test_kept_by_a_helper(folder, monkeypatch, settings, user):
    helper = folder / "docker-credential-vault"
    helper.write_text(HELPER % user)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    write(folder, **settings, auths={"docker.io": {"auth": PAIR}, "ghcr.io": {}})
    assert docker_login("ghcr.io") == Login(user, "correct:horse", is_token=user == "<token>")
    # What the helper does not have may still stand in the file; so may all if it is missing.
    assert docker_login("docker.io") == ADA
    helper.unlink()
    assert docker_login("ghcr.io") is None


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"auths": {"docker.io": {"auth": "correct horse"}}}', '{"auths": 3}']
)
def test_a_broken_file(folder, content):
    (folder / "config.json").write_text(content)
    with pytest.raises(InputError, match="cannot be read as Docker's configuration") as raised:
        docker_login("docker.io")
    assert "horse" not in str(raised.value)


def test_a_login_does_not_print_its_secret():
    assert "horse" not in repr(ADA)


def test_a_token_is_taken_without_what_was_pasted_with_it(tmp_path, monkeypatch):
    docker = tmp_path / "docker"
    docker.write_text(f'#!/bin/sh\ncat > {tmp_path}/given; echo "$@" > {tmp_path}/asked\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DOCKERHUB_USERNAME", "acme\n")
    monkeypatch.setenv("DOCKERHUB_TOKEN", "\ufeffcorrect horse\r\n")
    log_in("docker.io")
    assert (tmp_path / "given").read_text() == "correct horse"
    assert "--username=acme --password-stdin" in (tmp_path / "asked").read_text()
