"""The registry's answers, against the real docker-registry and the logins of the real docker."""

import base64
import json
import tarfile

import pytest
import requests

from federator.errors import InputError
from federator.images.engine import EngineError
from federator.images.login import log_in
from federator.images.registry import LoginError, Registry

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_config")]


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    """A small image of two layers, by its local name."""
    folder = tmp_path_factory.mktemp("image")
    for name in ("below", "above"):
        (folder / name).write_text(name * 1000)
    with tarfile.open(folder / "below.tar", "w") as tar:
        tar.add(folder / "below", arcname="below")
    (folder / "Dockerfile").write_text("FROM scratch\nADD below.tar /\nCOPY above /\n")
    name = "federator-test-image:1"
    engine("buildx", "build", "--quiet", "--load", "--provenance=false", "-t", name, str(folder))
    yield name
    engine("rmi", name)


def push(engine, image, registry):
    """Pushes the image and returns its name in the registry and its digest, as docker says it."""
    name = f"{registry.host}/acme/{image}"
    engine("tag", image, name)
    engine("push", "--quiet", name)
    pushed = json.loads(engine("image", "inspect", name, "--format", "{{json .RepoDigests}}"))
    engine("rmi", name)
    return name, next(one for one in pushed if registry.host in one).partition("@")[2]


def test_digest_and_size(engine, registry, image):
    name, digest = push(engine, image, registry)
    asked = Registry()
    assert asked.digest(name) == digest
    assert asked.digest(f"{registry.host}/acme/federator-test-image@{digest}") == digest
    assert asked.digest(f"{registry.host}/acme/federator-test-image:2") is None
    assert asked.digest(f"{registry.host}/acme/absent:1") is None
    layers = json.loads(registry.blob(digest).read_text())["layers"]
    assert len(layers) == 2
    assert asked.size(name) == sum(registry.blob(one["digest"]).stat().st_size for one in layers)
    assert asked.is_public(name)


def test_an_index_of_platforms(engine, registry, image):
    name, digest = push(engine, image, registry)
    content = registry.blob(digest).read_bytes()
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": json.loads(content)["mediaType"],
                "digest": digest,
                "size": len(content),
                "platform": {"os": "linux", "architecture": "amd64"},
            }
        ],
    }
    many = f"{registry.host}/acme/federator-test-image:many"
    requests.put(
        f"http://{registry.host}/v2/acme/federator-test-image/manifests/many",
        data=json.dumps(index),
        headers={"Content-Type": index["mediaType"]},
        timeout=10,
    ).raise_for_status()
    assert Registry().digest(many) not in (None, digest)
    assert Registry().size(many) == Registry().size(name)


def test_login(engine, registry_with_login, image):
    host = registry_with_login.host
    name = f"{host}/acme/{image}"
    with pytest.raises(LoginError, match=f"{host} requires a login"):
        Registry().digest(name)
    login = ("login", "--username", registry_with_login.user, "--password-stdin", host)
    engine(*login, text=registry_with_login.password)
    assert Registry().digest(name) is None
    pushed, digest = push(engine, image, registry_with_login)
    assert Registry().digest(pushed) == digest
    assert Registry().size(pushed) > 0
    assert not Registry().is_public(pushed)


def test_a_login_of_the_environment(registry_with_login, docker_config, monkeypatch):
    host = registry_with_login.host
    with pytest.raises(InputError, match=f"there is no login for {host}"):
        log_in(host)
    monkeypatch.setenv("DOCKERHUB_USERNAME", registry_with_login.user)
    monkeypatch.setenv("DOCKERHUB_TOKEN", "guess")
    with pytest.raises(InputError, match=f"{host} refuses the login") as raised:
        log_in(host)
    assert "secrets of the repository" in str(raised.value) and "guess" not in str(raised.value)
    assert not (docker_config / "config.json").exists()
    monkeypatch.setenv("DOCKERHUB_TOKEN", registry_with_login.password)
    log_in(host)
    assert Registry().digest(f"{host}/acme/absent:1") is None
    with pytest.raises(EngineError, match="connection refused"):
        log_in("127.0.0.1:1")


def test_wrong_password(registry_with_login, docker_config):
    host = registry_with_login.host
    (docker_config / "config.json").write_text(
        json.dumps({"auths": {host: {"auth": base64.b64encode(b"ada:guess").decode()}}})
    )
    with pytest.raises(LoginError, match="does not accept the login: wrong password") as raised:
        Registry().digest(f"{host}/acme/anything:1")
    assert "guess" not in str(raised.value)
