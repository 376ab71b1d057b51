"""The list of images that an attestation is about."""

import json

from fixtures.command_line import call
from fixtures.small_notebook import federate


def test_each_image_is_listed_by_its_digest_and_its_name(tmp_path):
    made = federate(tmp_path, "images: docker.io/acme\n")
    folder = tmp_path / "build" / "tumours"
    folder.mkdir(parents=True)
    names = ("link", "client", "server")
    images = {name: f"docker.io/acme/{name}@sha256:{i}{'a' * 63}" for i, name in enumerate(names)}
    (folder / "images.json").write_text(json.dumps(images))
    done = call("pipeline", "subjects", made.folder)
    assert done.exit_code == 0
    lines = [f"{i}{'a' * 63}  docker.io/acme/{name}" for i, name in enumerate(names)]
    assert done.stdout.splitlines() == lines


def test_before_anything_was_pushed_there_is_none(tmp_path):
    made = federate(tmp_path, "images: docker.io/acme\n")
    done = call("pipeline", "subjects", made.folder)
    assert done.exit_code == 2 and "no images have been pushed" in done.output
