"""Two builds of the link's image from scratch have the same layers."""

import json
import subprocess

import pytest
from fixtures.small_notebook import federate

from federator.app.convert import convert
from federator.federation.parts import Build
from federator.images import image_spec

# An engine of before 2023 leaves the time of the build on /etc, where the base has no such file: it
# mounts one of its own there, and removes it (BuildKit 0.11 puts the time back).
HOSTS = "/etc/hosts"

pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400)]


def build(folder, target, tag, **arguments):
    """Build one target of a bake file anew, as ``federator build`` does but for the cache."""
    chosen = [f"--set={target}.args.{name}={value}" for name, value in arguments.items()]
    command = ["docker", "buildx", "bake", f"--file={image_spec.BAKE_FILE}", "--load"]
    command += ["--no-cache", "--provenance=false", f"--set={target}.tags={tag}", *chosen, target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]


def test_two_builds_of_the_link_have_the_same_layers(engine, build_settings, tmp_path):
    layers, base = [], "reproducible-base"
    (tmp_path / "hosts").touch()
    engine("create", "--name", base, Build().base, "true")
    try:
        engine("cp", str(tmp_path / "hosts"), f"{base}:{HOSTS}")
        engine("commit", base, f"{base}:1")
        for number in (1, 2):
            root = tmp_path / str(number)  # in another folder, at another time
            federation = federate(root, f"images: docker.io/acme\n{build_settings}")
            components = convert(federation, root / "build")
            image_spec.write(federation, components)
            below, image = (f"reproducible-{name}:{number}" for name in ("below", "link"))
            build(components.folder, "link-dependencies", below, BASE=f"{base}:1")
            build(components.folder, "link", image, DEPENDENCIES=below)
            layers.append(json.loads(engine("inspect", image, "--format={{json .RootFS.Layers}}")))
    finally:
        subprocess.run(["docker", "rm", "--force", base])
        made = [f"reproducible-{name}:{n}" for n in (1, 2) for name in ("below", "link")]
        subprocess.run(["docker", "rmi", "--force", *made, f"{base}:1"])
    assert layers[0] == layers[1] and len(layers[0]) >= 5
