"""The specifications of a federation's images: Dockerfiles, build contexts and a bake file.

Each image has two parts, each with its own tag. The lower part installs packages from elsewhere;
the upper part adds the runtime and, in client and server, the author's code. A tag is a hash of
all files of its part. So after a change in the notebook a site downloads some kilobytes.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from urllib.parse import urlsplit

from federator import __version__
from federator.app.convert import Components
from federator.common import git
from federator.common.templates import Templates
from federator.errors import FederationFileError, Problem, Where
from federator.federation.schema import FILE, Federation
from federator.images import wheel
from federator.images.reference import Reference
from federator.notebook.dependencies import requirements
from federator.runtime.files import file_sha256

BAKE_FILE = "docker-bake.json"
FOLDER = "images"
SECRET = "FEDERATOR_PIP_CONFIG"
"""The environment variable that holds a pip.conf while an image is built."""

_REPORT = ("jinja2", "rich", "tomli-w", "typer")  # what federator.results needs besides
_TORCH = frozenset({"torch", "torchvision", "torchaudio"})


@dataclass(frozen=True)
class ImageSpec:
    """One image to build: its name, and all files that go into it.

    Attributes:
        name: link, client, client-cuda or server.
        repository: the repository in the registry.
        version: the first part of its tag.
        lower: the files that list what it installs from elsewhere.
        upper: the runtime and the author's code.
        arguments: pip's package indexes; the tags do not depend on them.
        labels: the image's origin; the tags do not depend on them.
        base: the image whose lower part this one is built on, if there is one.
    """

    name: str
    repository: str
    version: str
    lower: Mapping[str, bytes]
    upper: Mapping[str, bytes]
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    base: "ImageSpec | None" = None

    @property
    def image(self) -> Reference:
        """The image of both parts, by its tag."""
        files = {**self._lower_files, **self.upper}
        return Reference.parse(f"{self.repository}:{self.version}{_hash(files)}")

    @property
    def dependencies(self) -> Reference:
        """Its lower part alone, by its tag."""
        return Reference.parse(f"{self.repository}:dependencies-{_hash(self._lower_files)}")

    @property
    def _lower_files(self) -> dict[str, bytes]:
        base = self.base and self.base.dependencies.tag
        return {**self.lower, "FROM": (base or "").encode()}


def write(federation: Federation, components: Components) -> list[ImageSpec]:
    """Write ``images/`` and ``docker-bake.json`` into ``build/<federation>``.

    Returns:
        The specifications of link, client, client-cuda (if a site has a GPU) and server.

    Raises:
        FederationFileError: if the federation file names no registry for the images.
        InputError: if the repository's own copy of a template is wrong.
    """
    if federation.images is None:
        hint = "write, for example:  images: docker.io/acme"
        raise FederationFileError(Problem("images is missing", Where(FILE), hint))
    specs = list(_specs(federation, components, federation.images))
    for spec in specs:
        for name, data in {**spec.lower, **spec.upper}.items():
            path = components.folder / FOLDER / spec.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o644)  # the container's user must read it, whatever the umask here
            for above in path.relative_to(components.folder / FOLDER).parents:
                (components.folder / FOLDER / above).chmod(0o755)
    bake = {"target": dict(_targets(specs))}
    (components.folder / BAKE_FILE).write_text(json.dumps(bake, indent=2) + "\n")
    return specs


def _specs(federation: Federation, components: Components, images: str) -> Iterator[ImageSpec]:
    settings, fill = federation.build, Templates(federation.root).fill
    indexes = {"PIP_INDEX_URL": settings.index, "PIP_EXTRA_INDEX_URL": settings.extra_index}
    arguments = {name: url for name, url in indexes.items() if url}
    origin = _origin(federation)
    notebook = file_sha256(federation.notebook)
    labels = origin | {"federator.notebook.sha256": notebook}
    runtime = requirements.runtime()
    for_site, for_server = wheel.for_site(runtime), wheel.for_server(runtime)
    app = {
        f"app/{path.relative_to(components.app)}": path.read_bytes()
        for path in sorted(components.app.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }

    link_values = {"base": settings.base, "torch_index": settings.torch_index}
    repository, version = f"{images}/federator-link", f"{__version__}-"
    upper = {f"wheels/{for_site.name}": for_site.content}
    lower = _lower(fill, "link", runtime, link_values)
    link = ImageSpec("link", repository, version, lower, upper, arguments, origin)
    yield link

    report = requirements.installed(_REPORT)
    client, server = components.client_requirements, components.server_requirements
    needed = {
        "client": (client, settings.torch_index, for_site),
        "client-cuda": (client, None, for_site),
        "server": (requirements.together(report, server), settings.torch_index, for_server),
    }
    if all(site.accelerator == "cpu" for site in federation.sites):
        del needed["client-cuda"]
    for name, (install, torch_index, ours) in needed.items():
        lower = _lower(fill, name.removesuffix("-cuda"), install, {"torch_index": torch_index})
        upper = app | {f"wheels/{ours.name}": ours.content}
        repository = f"{images}/{federation.name}-{name}"
        yield ImageSpec(name, repository, "", lower, upper, arguments, labels, link)


def _lower(
    fill: Callable[..., str],
    component: str,
    install: tuple[str, ...],
    values: Mapping[str, str | None],
) -> dict[str, bytes]:
    """Return an image's Dockerfile and the requirements that pip installs."""
    versions = requirements.versions(install)
    torch = [line for line in (*install, *versions) if requirements.name_of(line) in _TORCH]
    # They stand in files, since a shell would interpret them in the Dockerfile.
    listed = {"install": install, "versions": versions, "torch": torch}
    present = {name: bool(lines) for name, lines in listed.items()}
    files = {"Dockerfile": fill(f"images/{component}.Dockerfile", **present, **values)}
    for name, lines in listed.items():
        files[f"requirements/{name}.txt"] = "".join(f"{line}\n" for line in lines)
    return {name: text.encode() for name, text in files.items()}


def _targets(specs: Iterable[ImageSpec]) -> Iterator[tuple[str, object]]:
    """Yield the targets of the bake file, each after those that it is built on."""
    for spec in specs:
        link = {"LINK": str(spec.base.dependencies)} if spec.base else {}
        target = {
            "context": f"{FOLDER}/{spec.name}",
            "args": link | dict(spec.arguments),
            "platforms": ["linux/amd64"],  # the sites' machines, whatever the author's is
            "secret": [f"id=pip,env={SECRET}"],
        }
        lower = {"target": "dependencies", "tags": [str(spec.dependencies)]}
        yield f"{spec.name}-dependencies", target | lower
        yield spec.name, target | {"tags": [str(spec.image)], "labels": dict(spec.labels)}


def _origin(federation: Federation) -> dict[str, str]:
    """Return an image's labels: version, commit and source at the time of its first build."""
    full_hash = ("--always", "--dirty", "--abbrev=40", "--exclude=*")
    source = urlsplit(git.ask(federation.root, "remote", "get-url", "origin"))
    without_login = source._replace(netloc=source.netloc.rpartition("@")[2]).geturl()
    labels = {
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.revision": git.ask(federation.root, "describe", *full_hash),
        "org.opencontainers.image.source": without_login,
        "org.opencontainers.image.base.name": federation.build.base,
        "federator.flwr.version": metadata.version("flwr"),
    }
    return {name: value for name, value in labels.items() if value}


def _hash(files: Mapping[str, bytes]) -> str:
    """Return the first 64 bits (hex) of a SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for name, data in sorted(files.items()):
        digest.update(f"{name}\0{len(data)}\0".encode() + data)
    return digest.hexdigest()[:16]
