"""A federation's server, brought up: what is missing is made, and no more, and each step is told.

What a person has to read, commit or send stays to that person: it is listed at the end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from federator.app.convert import Components
from federator.app.convert import convert as convert_to
from federator.common import git
from federator.common.command_line import relative
from federator.deploy import compose, site_keys
from federator.deploy.host.containers import Server
from federator.deploy.provision import provision
from federator.deploy.server_file import approval
from federator.deploy.server_file.gateway import GATEWAY
from federator.errors import InputError, Problem
from federator.federation.schema import Federation
from federator.images import build as images
from federator.images.build import Images
from federator.images.reference import Reference


@dataclass(frozen=True)
class Serving:
    """What it takes to bring up a federation's server.

    Args:
        federation: the federation file.
        build_at_site: whether each site builds its worker's image itself.
    """

    federation: Federation
    build_at_site: bool = False

    def prepare(self) -> Iterator[str | Problem]:
        """Make keys, images and files, where they are missing or have changed; yield what was done.

        Raises:
            FederatorError: if a step fails; the earlier ones stay done.
        """
        read = self.federation
        made = provision(read)
        if made.written:
            yield f"keys: made {', '.join(str(relative(file)) for file in made.written)}"
        else:
            yield f"keys: there are all, and the certificate is valid until {made.expires:%Y-%m-%d}"
        if made.renew_soon:
            hint = f"federator provision {relative(read.folder)} --renew"
            yield Problem("the server's certificate expires soon", hint=hint)
        try:
            before = Images.read(read.root / "build" / read.name).by_name()
        except InputError:
            before = {}
        components = convert_to(read, read.root / "build")
        yield from components.warnings
        yield from self._images(components, before)

    def _images(
        self, components: Components, before: Mapping[str, Reference]
    ) -> Iterator[str | Problem]:
        read = self.federation
        built = images.build(read, components, push=True)
        yield from built.warnings
        new = [name for name, image in built.by_name().items() if before.get(name) != image]
        yield f"images: {', '.join(new)} pushed" if new else "images: nothing has changed"
        known = {path: path.read_bytes() for path in read.folder.iterdir() if path.is_file()}
        files = compose.write_built(read, components, built, self.build_at_site)
        changed = [path.name for path in files if known.get(path) != path.read_bytes()]
        yield f"files: wrote {', '.join(changed)}" if changed else "files: nothing has changed"
        yield from site_keys.missing_in_cohort(read)

    @property
    def unread(self) -> list[Path]:
        """The files that a person has to read before the server is started with them.

        They have changed since the coordinator approved them, or were never approved.
        """
        if approval.is_approved(self.federation):
            return []
        read = self.federation
        own = [read.root / "build" / read.name / "app" / "aggregation.py"]
        files = [read.folder / approval.SERVER, read.folder / GATEWAY]
        return [*files, *(own if read.strategy == "own" else [])]

    def start(self) -> str:
        """Start the server's containers, or those of them that have changed.

        Raises:
            EngineError: if Docker fails.
        """
        Server(self.federation).show("up", "--detach", "--wait", "--quiet-pull")
        return f"server: up; sites reach it at {self.federation.server}"

    @property
    def left(self) -> list[str]:
        """What is left for a person, as commands."""
        folder = relative(self.federation.folder)
        told = [
            f"federator invite {folder} {name}" for name in site_keys.without_key(self.federation)
        ]
        if git.ask(self.federation.folder, "status", "--porcelain", "--", "."):
            told.append(f"git add {folder}; git commit")
        return told or [f"federator rounds {folder} --rounds 3"]
