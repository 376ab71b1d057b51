import json

import pytest
from fixtures.small_notebook import federate

from federator.app.convert import convert
from federator.errors import InputError
from federator.images.build import Images, build
from federator.images.engine import EngineError

DIGEST = "sha256:" + "0" * 64


def prepared(root):
    federation = federate(root, "images: docker.io/acme\n")
    return federation, convert(federation, federation.root / "build")


def test_what_was_pushed_is_read_back(tmp_path):
    record = {name: f"docker.io/acme/{name}@{DIGEST}" for name in ("link", "client", "server")}
    (tmp_path / "images.json").write_text(json.dumps(record))
    images = Images.read(tmp_path)
    assert {name: str(image) for name, image in images.by_name().items()} == record
    record["client-cuda"] = f"docker.io/acme/client-cuda@{DIGEST}"
    (tmp_path / "images.json").write_text(json.dumps(record))
    assert str(Images.read(tmp_path).client_cuda) == record["client-cuda"]


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"link": 3}', '{"link": "A B"}'])
def test_nothing_was_pushed(tmp_path, text):
    if text is not None:
        (tmp_path / "images.json").write_text(text)
    with pytest.raises(InputError, match="federator build --push"):
        Images.read(tmp_path)


def test_without_docker_nothing_is_noted(tmp_path, monkeypatch):
    federation, components = prepared(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="docker cannot be started"):
        build(federation, components, push=False)
    assert not (components.folder / "images.json").exists()


def test_a_pip_config_that_is_not_there(tmp_path):
    federation, components = prepared(tmp_path)
    with pytest.raises(InputError, match=r"pip\.conf: cannot be read"):
        build(federation, components, push=False, pip_config=tmp_path / "pip.conf")
