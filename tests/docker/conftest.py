"""A real engine and real registries for the tests of this folder."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
import requests

from federator.federation.parts import Build

Docker = Callable[..., str]

# `htpasswd -Bbn ada "correct horse"`: the registry reads bcrypt only.
_USER, _PASSWORD = "ada", "correct horse"
_HTPASSWD = "ada:$2b$05$YeDC1ON3P945iu34axBY7O9X89uX2ksKhcpNjTJwsPYnBhGnu82QW\n"
_CONFIG = """\
version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "{host}"}}
"""
_LOGIN_CONFIG = "auth: {{htpasswd: {{realm: tests, path: {folder}/htpasswd}}}}\n"


@dataclass(frozen=True)
class LocalRegistry:
    """A registry of this machine; images are called ``{host}/name:tag``.

    Attributes:
        host: Address and port; the engine speaks plain HTTP to it, as to any on this machine.
        data: The folder that the registry keeps its blobs in.
        user: Who may push and pull; empty if anybody may.
        password: That user's.
    """

    host: str
    data: Path
    user: str = ""
    password: str = ""

    def blob(self, digest: str) -> Path:
        """Where the registry keeps what has this digest."""
        code = digest.removeprefix("sha256:")
        return self.data / "docker/registry/v2/blobs/sha256" / code[:2] / code / "data"


@pytest.fixture(scope="session")
def engine() -> Docker:
    """``engine("pull", name)`` runs the docker command line and returns what it prints."""
    if shutil.which("docker") is None:
        pytest.skip("no docker on the PATH; .ci/engine installs one")

    def docker(*arguments: str, text: str | None = None) -> str:
        done = subprocess.run(["docker", *arguments], input=text, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    try:
        docker("info")
    except AssertionError as error:
        pytest.skip(f"no Docker engine answers; .ci/engine starts one ({error})")
    return docker


@contextmanager
def _serving(engine: Docker, folder: Path, htpasswd: str = "") -> Iterator[LocalRegistry]:
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is missing (a package of Debian and Ubuntu)")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = _CONFIG + (_LOGIN_CONFIG if htpasswd else "")
    (folder / "config.yml").write_text(config.format(folder=folder, host=host))
    (folder / "htpasswd").write_text(htpasswd)
    log = folder / "log"
    command = [program, "serve", str(folder / "config.yml")]
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_until_responsive(f"http://{host}/v2/", process, log)
            login = (_USER, _PASSWORD) if htpasswd else ("", "")
            yield LocalRegistry(host, folder / "data", *login)
        finally:
            process.terminate()
            _forget(engine, host)


def _forget(engine: Docker, host: str) -> None:
    """Remove a registry's images from the engine, each by its name: it may have another's, too."""
    ours = [f"--filter=reference={host}/{name}" for name in ("*", "*/*")]
    named = "{{.Repository}} {{.Tag}} {{.Digest}}"
    for line in engine("images", "--digests", *ours, f"--format={named}").splitlines():
        name, tag, digest = line.split()
        try:
            engine("rmi", "--force", f"{name}@{digest}" if tag == "<none>" else f"{name}:{tag}")
        except AssertionError as error:
            assert "No such image" in str(error)  # it went with its other name


def _wait_until_responsive(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        try:
            requests.get(url, timeout=60)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(f"the registry does not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def registry(engine: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRegistry]:
    """A registry that anybody may use."""
    with _serving(engine, tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="session")
def registry_with_login(
    engine: Docker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalRegistry]:
    """A registry that requires a login."""
    folder = tmp_path_factory.mktemp("registry-with-login")
    with _serving(engine, folder, _HTPASSWD) as running:
        yield running


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Docker configuration: nobody is logged in, and a login stays in this test."""
    folder = tmp_path / "docker-config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    return folder


@pytest.fixture(scope="session")
def build_settings(engine: Docker) -> str:
    """Lines of a federation file with which images can be built on this machine."""
    # Where pip does not find a build, it takes one for GPUs, without a word: so this very build is
    # required. In the stand-in, pip is configured to find this machine's wheel of it.
    torch = f"requirements: {{torch: torch=={metadata.version('torch')}}}\n"
    base = engine("image", "inspect", Build().base, "--format", "{{.Comment}}")
    return torch + ("build: {torch_index: }\n" if base.startswith("stand-in") else "")
