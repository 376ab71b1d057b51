"""The images, built by the real engine, pushed to a real registry, and pulled back by digest."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.images import lay_out, write
from fixtures.small_notebook import TRAIN, cells, federate

from federator.app.convert import Components, convert
from federator.federation.schema import Federation
from federator.images import image_spec
from federator.images.build import Images, build
from federator.images.engine import EngineError, has
from federator.images.registry import LoginError, Registry

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("docker_config")]

MB = 10**6
SECRET = "correct-horse-battery"


@dataclass(frozen=True)
class Published:
    """A federation of the small notebook whose images were pushed, and where it can be changed.

    Attributes:
        noted: what the build noted of them.
    """

    root: Path
    settings: str
    images: Images
    noted: dict[str, str]

    def converted(self, train: str = TRAIN) -> tuple[Federation, Components]:
        federation = federate(self.root, self.settings, cells(train=train))
        return federation, convert(federation, self.root / "build")


@pytest.fixture(scope="module")
def published(registry, build_settings, tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    settings = f"images: {registry.host}/acme\n{build_settings}"
    pip_config = root / "pip.conf"
    pip_config.write_text(f"[global]\n# {SECRET}\n")
    federation = federate(root, settings)
    made = build(federation, convert(federation, root / "build"), True, pip_config)
    noted = json.loads((root / "build/tumours/images.json").read_text())
    return Published(root, settings, made, noted)


@pytest.fixture(scope="module")
def pulled(engine, published):
    """The images' names: local copies are deleted, then each is pulled by its digest."""
    made = image_spec.write(*published.converted())
    for image in [str(name) for one in made for name in (one.image, one.dependencies)]:
        engine("rmi", "--force", image)
    images = {name: str(image) for name, image in published.images.by_name().items()}
    for image in images.values():
        assert not has(image)
        engine("pull", "--quiet", image)
    return images


def blobs(registry):
    """What the registry keeps, by digest, with its size."""
    return {path.parent.name: path.stat().st_size for path in registry.data.rglob("blobs/**/data")}


def run(engine, image, *command, user="10001:10001"):
    confined = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none", f"--user={user}")
    return engine("run", "--rm", *confined, "--entrypoint", command[0], image, *command[1:])


def test_digests_are_noted(published, registry):
    images = published.images.by_name()
    assert published.noted == {name: str(image) for name, image in images.items()}
    for image in published.noted.values():
        assert image.startswith(f"{registry.host}/acme/")
        assert registry.blob(image.partition("@")[2]).is_file()
    (client, server) = published.images.warnings  # as anybody can pull from this registry
    assert "tumours-client, which holds the notebook's code" in client.message
    assert "tumours-server" in server.message


def test_a_second_build_builds_and_pushes_nothing(published, registry, capfd):
    before = blobs(registry)
    again = build(*published.converted(), True)
    assert again.by_name() == published.images.by_name()
    assert again.warnings == ()
    assert blobs(registry) == before
    assert capfd.readouterr().err == ""  # docker had nothing to do


def test_without_push_nothing_is_noted(published):
    images = build(*published.converted(), push=False)
    assert all(image.digest is None and image.tag for image in images.by_name().values())
    assert not (published.root / "build/tumours/images.json").exists()


def test_a_release_that_no_index_has(published, tmp_path):
    settings = published.settings.replace("{torch:", "{tqdm: tqdm==0.0.99, torch:")
    federation = federate(tmp_path, settings)
    with pytest.raises(EngineError) as raised:
        build(federation, convert(federation, tmp_path / "build"), push=False)
    assert "does build: in federation.yaml name the right index?" in str(raised.value)


def test_sizes(engine, pulled):
    size = {
        name: int(engine("image", "inspect", "--format={{.Size}}", image))
        for name, image in {"base": "python:3.11-slim-bookworm", **pulled}.items()
    }
    download = {name: Registry().size(image) for name, image in pulled.items()}
    for name, image in pulled.items():
        print(f"{image}: {download[name] / MB:.0f} MB to download, {size[name] / MB:.0f} MB")
    assert size["link"] - size["base"] < 350 * MB
    assert size["server"] - size["base"] < 350 * MB
    assert size["client"] - size["base"] < 1600 * MB
    assert download["server"] < 200 * MB
    assert download["client"] < 500 * MB


def test_what_an_image_says_of_itself(engine, pulled):
    for name, image in pulled.items():
        config = json.loads(engine("image", "inspect", "--format={{json .Config}}", image))
        assert config["User"] == "10001:10001"
        assert config["Entrypoint"] == ["python", "-m", "federator.runtime"]
        assert config["Labels"]["federator.flwr.version"] == "1.42.0"
        assert config["Labels"]["org.opencontainers.image.version"] == "0.1.0"
        assert config["Labels"]["org.opencontainers.image.base.name"] == "python:3.11-slim-bookworm"
        assert ("federator.notebook.sha256" in config["Labels"]) == (name != "link")
        assert config["Healthcheck"]["Test"][0] == ("NONE" if name == "server" else "CMD")
        assert "usage: python -m federator.runtime" in engine("run", "--rm", image, "--help")


def test_each_image_has_what_it_runs_and_no_more(engine, pulled):
    look = (
        "from importlib.util import find_spec as find; from pathlib import Path\n"
        "import flwr, federator.errors, federator.runtime.link.process\n"
        "print(*(find(n) is not None for n in ('torch', 'federator.cli')), Path('/app').exists())"
    )
    found = {name: run(engine, image, "python", "-c", look) for name, image in pulled.items()}
    assert found == {
        "link": "False False False",
        "client": "True False True",
        "server": "False True True",
    }
    assert "nginx version" in run(engine, pulled["server"], "sh", "-c", "nginx -v 2>&1")
    for image in pulled.values():
        assert "No broken requirements" in run(engine, image, "python", "-m", "pip", "check")


def test_every_module_of_the_runtime_runs_with_its_wheel_alone(engine, pulled):
    every = (
        "import importlib, pkgutil, federator.runtime as r\n"
        "print([importlib.import_module(f'federator.runtime.{m.name}') and m.name"
        " for m in pkgutil.iter_modules(r.__path__) if m.name != '__main__'])"
    )
    for image in pulled.values():
        assert "'link'" in run(engine, image, "python", "-c", every)
    write = (
        "from federator.common import templates; templates.Templates().read('report/report.css')"
    )
    run(engine, pulled["server"], "python", "-c", write)
    assert "--public" in run(engine, pulled["server"], "federator", "rounds", "--help")
    order = ("python", "-m", "federator.runtime", "order", "--help")
    assert "--epochs" in run(engine, pulled["link"], *order)


def test_a_site_may_run_the_worker_as_a_user_of_its_own(engine, pulled):
    use = "import sys; sys.path.insert(0, '/app'); import task, getpass; print(getpass.getuser())"
    assert run(engine, pulled["client"], "python", "-c", use, user="4711:4712") == "federator"


def test_folders_belong_to_who_writes_to_them(engine, pulled):
    stat = ("stat", "--format=%n %u:%g %a")
    assert run(engine, pulled["link"], *stat, "/handover", "/keys").splitlines() == [
        "/handover 10001:10001 770",
        "/keys 10001:10001 700",
    ]
    for one in ("client", "server"):
        assert run(engine, pulled[one], *stat, "/initial") == "/initial 10001:10001 2770"
    assert run(engine, pulled["client"], *stat, "/personal") == "/personal 10001:10001 2770"
    assert run(engine, pulled["server"], *stat, "/state", "/results").splitlines() == [
        "/state 10001:10001 700",
        "/results 10001:10001 750",
    ]
    assert run(engine, pulled["client"], *stat, "/app", "/app/task.py").splitlines() == [
        "/app 0:0 755",
        "/app/task.py 0:0 644",
    ]


KEEP = """\
import sys
from pathlib import Path
import numpy as np
from federator.runtime.worker.personal.volume import Volume
number, volume = int(sys.argv[1]), Volume(Path("/personal"))
print(volume.newest("run", "federation", number - 1) and "goes on" or "begins")
volume.keep("run", "federation", number, {"bn.weight": np.full(3, number, np.float32)})
"""


def test_what_stays_outlives_the_worker_and_its_user(engine, pulled):
    volume = engine("volume", "create")
    confined = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--network=none")
    mounted = (f"--volume={volume}:/personal", "--group-add=10001", "--entrypoint=python")
    try:
        for number, user in enumerate(("1234:1235", "10001:10001", "4711:4712"), 1):
            asked = (*confined, *mounted, f"--user={user}", pulled["client"], "-c", KEEP)
            said = engine("run", "--rm", *asked, str(number))
            assert said == ("goes on" if number > 1 else "begins")
    finally:
        engine("volume", "rm", volume)


def test_an_image_lists_what_is_inside(engine, pulled):
    for name, image in pulled.items():
        listed = json.loads(run(engine, image, "cat", "/usr/share/sbom/python.cdx.json"))
        versions = {one["name"]: one["version"] for one in listed["components"]}
        assert versions["flwr"] == "1.42.0"
        assert ("torch" in versions) == (name == "client")
        debian = run(engine, image, "cat", "/usr/share/sbom/debian.tsv")
        assert ("nginx-light\t" in debian) == (name == "server")


def test_no_login_stays_in_a_layer(engine, pulled, tmp_path):
    engine("save", "--output", str(tmp_path / "images.tar"), pulled["link"], pulled["server"])
    assert SECRET.encode() not in (tmp_path / "images.tar").read_bytes()


@pytest.mark.usefixtures("pulled")  # so that nothing but the registry knows the layers below
def test_a_changed_train_pushes_kilobytes(published, registry):
    before = blobs(registry)
    changed = build(*published.converted(f"{TRAIN}\n    return None"), True)
    new = {digest: size for digest, size in blobs(registry).items() if digest not in before}
    print(f"changed train: {sum(new.values()) / 1000:.1f} kB uploaded")
    assert changed.link == published.images.link
    assert changed.client != published.images.client
    assert sum(new.values()) < 200_000
    assert max(new.values()) < 20_000  # of the layers, only that with the code


def test_a_missing_login_is_told_before_anything_is_built(registry_with_login, tmp_path, capfd):
    federation = federate(tmp_path, f"images: {registry_with_login.host}/acme\n")
    with pytest.raises(LoginError, match="requires a login"):
        build(federation, convert(federation, tmp_path / "build"), True)
    assert capfd.readouterr().err == ""


def test_a_worker_that_a_site_builds_has_the_code_of_its_file(engine, published, tmp_path):
    text = write(lay_out(tmp_path), published.images, requirements=())["north.yaml"]
    site = tmp_path / "site"
    site.mkdir()
    (site / ".env").write_text("DATA_DIR=/srv\n")
    build = ("compose", "--progress=plain", f"--project-directory={site}", "build", "worker")
    (site / "compose.yaml").write_text(text)
    try:
        engine(*build)
        for file in (tmp_path / "build" / "tumours" / "app").iterdir():
            said = run(engine, "tumours-north-worker", "cat", f"/app/{file.name}")
            assert said == file.read_text().strip()
        assert run(engine, "tumours-north-worker", "id", "-u") == "10001"
    finally:
        engine("rmi", "--force", "tumours-north-worker")
    (site / "compose.yaml").write_text(text.replace("zero_grad()", "zero_grad(None)"))
    with pytest.raises(AssertionError, match="not the app whose hash it names"):
        engine(*build)
