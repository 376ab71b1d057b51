"""The images of a federation: built once for each content, and pushed.

Where an image's tag, the hash of its content, exists in the registry or on this machine, nothing
is built: what changes nothing in an image leaves its digest, and with it every site's file, as
they are.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from federator.app.convert import Components
from federator.errors import FederatorError, InputError, Problem, Where
from federator.federation.schema import Federation
from federator.images import engine, recipes
from federator.images.recipes import BAKE_FILE, Recipe
from federator.images.reference import Reference
from federator.images.registry import Registry

RECORD = "images.json"


@dataclass(frozen=True)
class Images:
    """The images of a federation; once pushed, each by its digest.

    Attributes:
        link: a site's outward half; the same for every federation.
        client: a site's inward half.
        server: the server.
        client_cuda: the client for sites with an NVIDIA GPU, if there is such a site.
        warnings: what is doubtful.
    """

    link: Reference
    client: Reference
    server: Reference
    client_cuda: Reference | None = None
    warnings: tuple[Problem, ...] = ()

    def by_name(self) -> dict[str, Reference]:
        """Return link, client, client-cuda (if there is one) and server."""
        cuda = {"client-cuda": self.client_cuda} if self.client_cuda else {}
        return {"link": self.link, "client": self.client, **cuda, "server": self.server}

    @classmethod
    def read(cls, folder: Path) -> "Images":
        """Return the images that were pushed from a ``build/<federation>``.

        Raises:
            InputError: if none were.
        """
        try:
            written = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            named = {name: Reference.parse(image) for name, image in written.items()}
            cuda = named.get("client-cuda")
            return cls(named["link"], named["client"], named["server"], cuda)
        except (OSError, ValueError, KeyError, AttributeError, InputError):
            message = f"no images have been pushed from {folder}"
            raise InputError(Problem(message, hint="run `federator build --push` first")) from None


def build(
    federation: Federation,
    components: Components,
    push: bool,
    pip_config: Path | None = None,
    registry: Registry | None = None,
) -> Images:
    """Build what is not there yet; with ``push``, in the registry, and note the digests.

    Args:
        federation: the federation file.
        components: what the converter made of it.
        push: whether to push, and to write ``images.json`` with the digests.
        pip_config: a ``pip.conf``, which may hold a login: known to pip alone while it installs.
        registry: who is asked for digests.

    Raises:
        FederationFileError: if the federation file does not say where images are to lie.
        InputError: if ``pip_config`` cannot be read.
        EngineError: if Docker fails.
        RegistryError: if the registry does.
    """
    try:
        secret = {recipes.SECRET: pip_config.read_text() if pip_config else ""}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot be read: {error}", Where(str(pip_config)))) from None
    builder = _Builder(components.folder, (registry or Registry()) if push else None, secret)
    made = {one.name: builder.whole(one) for one in recipes.write(federation, components)}
    images = Images(
        made["link"],
        made["client"],
        made["server"],
        made.get("client-cuda"),
        tuple(builder.warnings),
    )
    if push:
        written = {name: str(image) for name, image in images.by_name().items()}
        part = components.folder / f".{RECORD}"
        part.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        part.rename(components.folder / RECORD)
    return images


@dataclass
class _Builder:
    """Builds and pushes what is missing. Without a registry, nothing is pushed."""

    folder: Path
    registry: Registry | None
    secret: Mapping[str, str]
    warnings: list[Problem] = field(default_factory=list)

    def whole(self, recipe: Recipe) -> Reference:
        """Return a whole image, which is built if there is none."""
        if found := self._find(recipe.image):
            return found
        below = {"DEPENDENCIES": str(self._dependencies(recipe))}
        made = self._bake(recipe.name, recipe.image, below)
        if recipe.name != "link" and self.registry and self.registry.is_public(str(made)):
            message = f"anybody can pull {recipe.repository}, which holds the notebook's code"
            hint = "make the repository private in the registry, if you do not mean it"
            self.warnings.append(Problem(message, hint=hint))
        return made

    def _dependencies(self, recipe: Recipe) -> Reference:
        if found := self._find(recipe.dependencies):
            return found
        below = {"LINK": str(self._dependencies(recipe.base))} if recipe.base else {}
        return self._bake(f"{recipe.name}-dependencies", recipe.dependencies, below)

    def _find(self, image: Reference) -> Reference | None:
        if self.registry and (digest := self.registry.digest(str(image))):
            return image.at(digest)
        return self._push(image) if engine.has(str(image)) else None

    def _bake(self, target: str, image: Reference, arguments: Mapping[str, str]) -> Reference:
        chosen = [f"--set={target}.args.{name}={value}" for name, value in arguments.items()]
        command = ["buildx", "bake", f"--file={BAKE_FILE}", "--progress=plain", "--load"]
        command += ["--provenance=false", *chosen, target]
        engine.show(*command, folder=self.folder, env=self.secret)
        return self._push(image)

    def _push(self, image: Reference) -> Reference:
        if self.registry is None:
            return image
        engine.show("push", str(image))
        digest = self.registry.digest(str(image))
        if digest is None:
            raise FederatorError(f"{image.host} took {image}, and now has no such image")
        return image.at(digest)
