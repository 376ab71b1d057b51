"""The base image's newest digest, for the federation file."""

import pytest
from fakes.http_service import running
from fakes.registry import Hub, digest_of, layered
from fixtures.command_line import call
from fixtures.small_notebook import federate

from federator.federation import schema

OLD, NEW = layered(1), layered(2)


@pytest.fixture
def hub():
    with running(Hub()) as hub:
        hub.public["python"] = {"3.11": NEW}
        yield hub


def settle(folder, base):
    made = federate(folder, f"images: docker.io/acme\nbuild: {{base: {base}}}\n")
    return made.folder


def test_the_newest_digest_is_a_line_of_the_federation_file(tmp_path, hub):
    for before in (f"{hub.host}/python:3.11", f"{hub.host}/python:3.11@{digest_of(OLD)}"):
        done = call("base", settle(tmp_path, before))
        assert done.exit_code == 0, done.output
        line = done.stdout.splitlines()[0]
        folder = tmp_path / "compose" / "tumours"
        text = (folder / "federation.yaml").read_text()
        (folder / "federation.yaml").write_text(
            "\n".join(line if one.startswith("build:") else one for one in text.splitlines())
        )
        assert schema.read(folder).build.base == f"{hub.host}/python:3.11@{digest_of(NEW)}"
    again = call("base", folder)
    assert again.stdout.strip() == f"{hub.host}/python:3.11@{digest_of(NEW)} is the newest"


def test_a_base_that_is_not_there_is_told(tmp_path, hub):
    done = call("base", settle(tmp_path, f"{hub.host}/python:2.7"))
    assert done.exit_code == 2 and "there is no image" in done.output
