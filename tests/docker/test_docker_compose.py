"""The compose files by the real Compose, and what their containers can and cannot do."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from fakes.images import IMAGES, lay_out, write

from federator.federation import schema
from federator.images.reference import Reference
from federator.runtime.review.site_file import SiteFile

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("engine")]

CI = Path(__file__).parents[2] / ".ci" / "engine"
PROFILES = ("--profile=review", "--profile=join")
BASE = Reference.parse("python:3.11-slim-bookworm")


def compose(folder, file, *arguments, **settings):
    """Run Compose as a person does, with nothing but an .env."""
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return subprocess.run(
        ["docker", "compose", "--file", str(folder / file), *arguments],
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the files of a federation; its third site has a GPU."""
    made = lay_out(tmp_path_factory.mktemp("repository"))
    path = made.folder / "federation.yaml"
    text = path.read_text().replace(
        "{name: south}]", "{name: south}, {name: east, accelerator: cuda}]"
    )
    path.write_text(text + 'local: ["*.bn*", "head.*"]\n')
    write(schema.read(path))
    return made.folder


@pytest.mark.parametrize("file", ["server.yaml", "north.yaml", "south.yaml", "east.yaml"])
def test_compose_accepts_the_file(written, file):
    done = compose(written, file, *PROFILES, "config", "--quiet", DATA_DIR="/srv/data")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_setting_of_the_examples_is_accepted(written):
    for name in ("server", "north", "east"):
        example = (written / f"{name}.env.example").read_text()
        settings = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE))
        done = compose(written, f"{name}.yaml", "config", "--quiet",
                       **{**settings, "DATA_DIR": "/srv/data"})  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")


def test_the_data_folder_must_be_named(written):
    done = compose(written, "north.yaml", "config", "--quiet")
    assert done.returncode and "name the folder of this site's data in .env" in done.stderr


def test_what_compose_makes_of_it(written):
    done = compose(written, "north.yaml", "config", "--format=json", DATA_DIR="/srv/data",
                   WORKER_MEMORY="7g", DATA_USER="1000:1000")  # fmt: skip
    project = json.loads(done.stdout)
    worker = project["services"]["worker"]
    assert project["name"] == "tumours-north"
    assert worker["mem_limit"] == str(7 * 2**30) and worker["user"] == "1000:1000"
    link = project["services"]["link"]
    assert link["environment"]["FEDERATOR_LOCAL"] == "*.bn* head.*"
    mounts = {
        name: {one["target"] for one in s["volumes"]} for name, s in project["services"].items()
    }
    assert [name for name, targets in mounts.items() if "/personal" in targets] == ["worker"]
    shown = SiteFile.read(written / "north.yaml").app
    assert {name: text.replace("$$", "$") for name, text in project["x-app"].items()} == shown


def test_the_least_version_is_the_one_that_is_tested():
    least = re.search(r"COMPOSE_LEAST=(\S+)", CI.read_text())[1]
    for name in ("site", "server"):
        template = CI.parents[1] / "component_templates" / "deploy" / f"{name}.yaml"
        assert f"Docker Compose {least}" in template.read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A site's folder, with the base image in the place of ours, and how to run a shell there."""
    root = tmp_path_factory.mktemp("site")
    root.chmod(0o755)
    folder = lay_out(root).folder
    text = write(schema.read(folder))["north.yaml"]
    for image in filter(None, IMAGES.by_name().values()):
        text = text.replace(str(image), str(BASE))
    for name in ("north.yaml", "compose.yaml"):
        (folder / name).write_text(text)
    data = root / "data"
    data.mkdir(mode=0o755)
    (data / "features.npy").write_text("the data")

    ours = {"DATA_DIR": data, "COMPOSE_PROJECT_NAME": "tried-out"}  # another test's has its own

    def run(service, script, **settings):
        command = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", service, "-c", script)
        return compose(folder, "north.yaml", *command, **{**ours, **settings})

    yield run
    compose(folder, "north.yaml", *PROFILES, "down", "--volumes", **ours)


@pytest.mark.parametrize("service", ["worker", "check"])
def test_the_worker_reads_the_data_and_no_more(site, service):
    done = site(service, "cat /data/*; id -u; ls /sys/class/net; echo x > /data/new")
    assert done.stdout.split("\n")[:3] == ["the data10001", "lo", ""]
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("service", ["link", "join"])
def test_the_link_does_not_see_the_data(site, service):
    done = site(service, "id -u; cat /data/*; grep -c /data /proc/mounts; ls /sys/class/net")
    assert done.stdout.split() == ["10001", "0", "eth0", "lo"]


@pytest.mark.parametrize("service", ["link", "worker", "join", "check", "review"])
def test_a_container_has_no_rights(site, service):
    done = site(service, "grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/self/status; echo > /usr/new")
    said = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert int(said["CapEff"], 16) == int(said["CapBnd"], 16) == 0 and said["NoNewPrivs"] == "1"
    assert "Read-only file system" in done.stderr


def test_a_site_runs_as_whom_it_says(site):
    done = site("worker", "id -u; id -G", DATA_USER="1234:1235")
    assert done.stdout.split() == ["1234", "1235", "10001"]


def test_a_data_folder_that_is_not_there_is_not_made(site, tmp_path):
    done = site("worker", "true", DATA_DIR=tmp_path / "typo")
    assert done.returncode and "bind source path does not exist" in done.stderr
    assert not (tmp_path / "typo").exists()


def test_an_authority_of_the_sites_own(site, tmp_path):
    own = tmp_path / "own.crt"
    own.write_text("an authority\n")
    show = "cat /run/federator/extra-ca.crt"
    assert site("link", show).stdout == ""
    assert site("link", show, EXTRA_CA=own).stdout == "an authority\n"
