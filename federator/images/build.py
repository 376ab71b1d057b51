"""Build and push the images of a federation, once for each content.

An image's tag is a hash of its content. If that tag exists in the registry or on this machine,
nothing is built. So the digest of an unchanged image stays, and with it every site's file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from federator.app.convert import Components
from federator.errors import FederatorError, InputError, Problem, Where
from federator.federation.schema import Federation
from federator.images import engine, image_spec
from federator.images.image_spec import BAKE_FILE, ImageSpec
from federator.images.reference import Reference
from federator.images.registry import Registry
from federator.runtime import files

RECORD = "images.json"


@dataclass(frozen=True)
class Images:
    """The images of a federation; once pushed, each by its digest.

    Attributes:
        link: the image of a site's link, the same for every federation.
        client: the image of a site's worker.
        server: the image of the server.
        client_cuda: the worker's image for sites with an NVIDIA GPU, if there is such a site.
        warnings: repositories that anybody can read.
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
            InputError: if none was pushed.
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
    """Build the images that do not exist yet; with ``push``, push them and record their digests.

    Args:
        federation: the federation file.
        components: the converted notebook.
        push: whether to push, and to write ``images.json`` with the digests.
        pip_config: a ``pip.conf``, which may hold a login; it stays in no image.
        registry: the client that reads digests.

    Raises:
        FederationFileError: if the federation file names no registry for the images.
        InputError: if ``pip_config`` cannot be read.
        EngineError: if Docker fails.
        RegistryError: if the registry fails.
    """
    try:
        secret = {image_spec.SECRET: pip_config.read_text() if pip_config else ""}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Problem(f"cannot be read: {error}", Where(str(pip_config)))) from None
    builder = _Builder(components.folder, (registry or Registry()) if push else None, secret)
    made = {one.name: builder.ensure_built(one) for one in image_spec.write(federation, components)}
    images = Images(
        made["link"],
        made["client"],
        made["server"],
        made.get("client-cuda"),
        tuple(builder.warnings),
    )
    if push:
        written = {name: str(image) for name, image in images.by_name().items()}
        files.write(components.folder / RECORD, json.dumps(written, indent=2) + "\n")
    return images


@dataclass
class _Builder:
    """Builds and pushes missing images; without a registry, it pushes nothing."""

    folder: Path
    registry: Registry | None
    secret: Mapping[str, str]
    warnings: list[Problem] = field(default_factory=list)

    def ensure_built(self, spec: ImageSpec) -> Reference:
        """Return an image, which is built if it does not exist."""
        if found := self._find(spec.image):
            return found
        arguments = {"DEPENDENCIES": str(self._dependencies(spec))}
        made = self._bake(spec.name, spec.image, arguments)
        if spec.name != "link" and self.registry and self.registry.is_public(str(made)):
            message = f"anybody can pull {spec.repository}, which holds the notebook's code"
            hint = "make the repository private in the registry, if that is not intended"
            self.warnings.append(Problem(message, hint=hint))
        return made

    def _dependencies(self, spec: ImageSpec) -> Reference:
        if found := self._find(spec.dependencies):
            return found
        arguments = {"LINK": str(self._dependencies(spec.base))} if spec.base else {}
        return self._bake(f"{spec.name}-dependencies", spec.dependencies, arguments)

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
            raise FederatorError(f"{image.host} accepted {image}, but does not have it now")
        return image.at(digest)
