"""A bundle at a machine that reaches no registry: its README is done as it stands there."""

import subprocess
import tarfile

import pytest
from fixtures.small_notebook import federate

from federator.deploy import bundle
from federator.runtime.files import fingerprint

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_config")]

SERVICE = "  {name}: {{image: {image}, network_mode: none, entrypoint: [cat, /{name}]}}\n"


@pytest.fixture
def site(engine, registry, tmp_path):
    """A federation whose site has a compose file of two small images in the registry."""
    federation = federate(tmp_path)
    text = "name: tumours-north\nservices:\n"
    for name in ("link", "worker"):
        (tmp_path / "Dockerfile").write_text(f"FROM python:3.11-slim-bookworm\nCOPY {name} /\n")
        (tmp_path / name).write_text(f"{name} of {tmp_path}")  # no other image is like it
        image = f"{registry.host}/acme/{name}"
        engine("buildx", "build", "--load", "--provenance=false", f"--tag={image}", str(tmp_path))
        engine("push", image)
        digest = engine("image", "inspect", "--format={{index .RepoDigests 0}}", image)
        engine("rmi", image)
        text += SERVICE.format(name=name, image=digest)
    (federation.folder / "north.yaml").write_text(text)
    (federation.folder / "north.env.example").write_text("DATA_DIR=\n")
    return federation


def commands(readme):
    """The commands in the README, which are indented."""
    return [line.strip() for line in readme.splitlines() if line.startswith("    ")]


def test_a_site_runs_from_its_bundle(engine, registry, site, tmp_path):
    made = bundle.write(site, "north", tmp_path / "dist")
    assert made.path == tmp_path / "dist" / "tumours-north.tar"
    assert list(made.path.parent.iterdir()) == [made.path]
    # Deletes the images, too: they have no other name.
    # (Other tests have images there, too.)
    names = (f"{registry.host}/acme/{name}" for name in ("link", "worker"))
    wanted = [f"--filter=reference={name}" for name in names]
    engine("rmi", *engine("images", "--format={{.Repository}}:{{.Tag}}", *wanted).splitlines())
    with tarfile.open(made.path) as tar:
        assert {one.uname for one in tar} == {""}
    subprocess.run(["tar", "--extract", "--file", made.path], cwd=tmp_path, check=True)
    folder = tmp_path / "tumours-north"
    assert (folder / "compose.yaml").read_bytes() == (site.folder / "north.yaml").read_bytes()
    assert fingerprint((folder / "SHA256SUMS").read_bytes()) == made.fingerprint

    def run(command):
        done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)
        return done.returncode, done.stdout

    check, print_fingerprint, load = commands((folder / "README.txt").read_text())
    assert run(check)[0] == 0
    assert run(print_fingerprint) == (0, f"{made.fingerprint}\n")
    hidden = registry.data.rename(tmp_path / "hidden")  # the registry has nothing any more
    assert run(load)[0] == 0
    assert run("docker compose run --rm link") == (0, f"link of {tmp_path}")
    assert run("docker compose run --rm worker") == (0, f"worker of {tmp_path}")
    (folder / "compose.override.yaml").write_text("{}")
    assert run("docker compose run --rm link")[0] != 0  # the digest alone is not known here
    hidden.rename(registry.data)
    engine("rmi", "--force", *set(engine("images", "--quiet", *wanted).split()))

    with (folder / "images.tar.gz").open("ab") as images:
        images.write(b"x")
    assert run(check)[0] == 1
