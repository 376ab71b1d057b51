"""What the images of a federation are made of: Dockerfiles, build contexts and a bake file.

Each image has two parts with a tag of their own: below, what it installs from elsewhere; on top
of that the runtime and, in client and server, the author's code. A tag is a hash of all that
goes into its part, so a changed notebook is a new image of which a site has all but kilobytes.
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

BAKE_FILE = "docker-bake.json"
FOLDER = "images"
SECRET = "FEDERATOR_PIP_CONFIG"
"""The environment variable that holds a pip.conf while an image is built."""

_REPORT = ("jinja2", "pydantic", "rich", "tomli-w", "typer")
_TORCH = frozenset({"torch", "torchvision", "torchaudio"})


@dataclass(frozen=True)
class Recipe:
    """One image to be: its name, and all that goes into it.

    Attributes:
        name: link, client, client-cuda or server.
        repository: where it is to lie.
        version: what its tag starts with.
        lower: the files that say what it installs from elsewhere.
        upper: the runtime and the author's code.
        arguments: where pip gets packages from; of no influence on the tags.
        labels: what the image says of its origin; likewise.
        base: the recipe on whose lower part it is built, if on another's.
    """

    name: str
    repository: str
    version: str
    lower: Mapping[str, bytes]
    upper: Mapping[str, bytes]
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    base: "Recipe | None" = None

    @property
    def image(self) -> Reference:
        """The whole image, by its tag."""
        whole = {**self._below, **self.upper}
        return Reference.parse(f"{self.repository}:{self.version}{_hash(whole)}")

    @property
    def dependencies(self) -> Reference:
        """Its lower part alone, by its tag."""
        return Reference.parse(f"{self.repository}:dependencies-{_hash(self._below)}")

    @property
    def _below(self) -> dict[str, bytes]:
        base = self.base and self.base.dependencies.tag
        return {**self.lower, "FROM": (base or "").encode()}


def write(federation: Federation, components: Components) -> list[Recipe]:
    """Write ``images/`` and ``docker-bake.json`` into ``build/<federation>``.

    Returns:
        The recipes of link, client, client-cuda (if a site has a GPU) and server.

    Raises:
        FederationFileError: if the federation file does not say where images are to lie.
        InputError: if the repository's own copy of a template is wrong.
    """
    if federation.images is None:
        hint = "write, for example:  images: docker.io/acme"
        raise FederationFileError(Problem("images is missing", Where(FILE), hint))
    recipes = list(_recipes(federation, components, federation.images))
    for recipe in recipes:
        for name, data in {**recipe.lower, **recipe.upper}.items():
            path = components.folder / FOLDER / recipe.name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o644)  # whatever the umask: the user in the container is another
            for above in path.relative_to(components.folder / FOLDER).parents:
                (components.folder / FOLDER / above).chmod(0o755)
    bake = {"target": dict(_targets(recipes))}
    (components.folder / BAKE_FILE).write_text(json.dumps(bake, indent=2) + "\n")
    return recipes


def _recipes(federation: Federation, components: Components, images: str) -> Iterator[Recipe]:
    settings, fill = federation.build, Templates(federation.root).fill
    indexes = {"PIP_INDEX_URL": settings.index, "PIP_EXTRA_INDEX_URL": settings.extra_index}
    arguments = {name: url for name, url in indexes.items() if url}
    origin = _origin(federation)
    notebook = hashlib.sha256(federation.notebook.read_bytes()).hexdigest()
    labels = origin | {"federator.notebook.reader.sha256": notebook}
    runtime = requirements.runtime()
    for_site, for_server = wheel.for_site(runtime), wheel.for_server(runtime)
    app = {
        f"app/{path.relative_to(components.app)}": path.read_bytes()
        for path in sorted(components.app.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }

    own = {"base": settings.base, "torch_index": settings.torch_index}
    repository, version = f"{images}/federator-link", f"{__version__}-"
    upper = {f"wheels/{for_site.name}": for_site.content}
    lower = _lower(fill, "link", runtime, own)
    link = Recipe("link", repository, version, lower, upper, arguments, origin)
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
        yield Recipe(name, repository, "", lower, upper, arguments, labels, link)


def _lower(
    fill: Callable[..., str],
    component: str,
    install: tuple[str, ...],
    values: Mapping[str, str | None],
) -> dict[str, bytes]:
    """Return the Dockerfile of an image, and what pip is to install."""
    versions = requirements.versions(install)
    torch = [line for line in (*install, *versions) if requirements.name_of(line) in _TORCH]
    # Never in the Dockerfile itself, where a shell would read a requirement in its own way.
    listed = {"install": install, "versions": versions, "torch": torch}
    there = {name: bool(lines) for name, lines in listed.items()}
    files = {"Dockerfile": fill(f"images/{component}.Dockerfile", **there, **values)}
    for name, lines in listed.items():
        files[f"requirements/{name}.txt"] = "".join(f"{line}\n" for line in lines)
    return {name: text.encode() for name, text in files.items()}


def _targets(recipes: Iterable[Recipe]) -> Iterator[tuple[str, object]]:
    """Return the targets of the bake file, each after those that it is built on."""
    for recipe in recipes:
        link = {"LINK": str(recipe.base.dependencies)} if recipe.base else {}
        target = {
            "context": f"{FOLDER}/{recipe.name}",
            "args": link | dict(recipe.arguments),
            "platforms": ["linux/amd64"],  # whatever the author's own machine is
            "secret": [f"id=pip,env={SECRET}"],
        }
        below = {"target": "dependencies", "tags": [str(recipe.dependencies)]}
        yield f"{recipe.name}-dependencies", target | below
        yield recipe.name, target | {"tags": [str(recipe.image)], "labels": dict(recipe.labels)}


def _origin(federation: Federation) -> dict[str, str]:
    """Return what an image says of its origin: that of its first build, if more would do."""
    whole_hash = ("--always", "--dirty", "--abbrev=40", "--exclude=*")
    source = urlsplit(git.ask(federation.root, "remote", "get-url", "origin"))
    without_login = source._replace(netloc=source.netloc.rpartition("@")[2]).geturl()
    labels = {
        "org.opencontainers.image.version": __version__,
        "org.opencontainers.image.revision": git.ask(federation.root, "describe", *whole_hash),
        "org.opencontainers.image.source": without_login,
        "org.opencontainers.image.base.name": federation.build.base,
        "federator.flwr.version": metadata.version("flwr"),
    }
    return {name: value for name, value in labels.items() if value}


def _hash(files: Mapping[str, bytes]) -> str:
    """Return 64 bits over names and contents."""
    whole = hashlib.sha256()
    for name, data in sorted(files.items()):
        whole.update(f"{name}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()[:16]
