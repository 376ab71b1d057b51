"""A federation as it stands before its compose files are written: images pushed, keys made."""

from datetime import date
from pathlib import Path

from fixtures.small_notebook import federate

from federator.app.convert import convert
from federator.deploy import compose
from federator.federation.schema import Federation
from federator.images.build import Images
from federator.images.reference import Reference
from federator.runtime.keys import site_key
from federator.runtime.keys.coordinator_key import CoordinatorKey

AUTHORITY = "-----BEGIN CERTIFICATE-----\nTWFkZSB1cA==\n-----END CERTIFICATE-----\n"
COORDINATOR = CoordinatorKey(b"made up, thirty-two bytes long..", date(2999, 1, 1)).write()
MODEL_BYTES = 100_000_000


def image(name: str, digit: str) -> Reference:
    return Reference.parse(f"docker.io/acme/{name}@sha256:{digit * 64}")


IMAGES = Images(
    link=image("federator-link", "1"),
    client=image("tumours-client", "2"),
    server=image("tumours-server", "3"),
    client_cuda=image("tumours-client-cuda", "4"),
)


def lay_out(root: Path, settings: str = "", content=None, **sites) -> Federation:
    """Lay out a repository; ``settings`` is added YAML, ``content`` another notebook's cells."""
    server = "server: fl.example.org\nimages: docker.io/acme\n"
    made = federate(root, server + settings, content, **sites)
    public = made.folder / "public"
    public.mkdir(exist_ok=True)
    (public / "coordinator.pub").write_text(COORDINATOR + "\n")
    (public / "ca.crt").write_text(AUTHORITY)
    convert(made, root / "build")
    return made


def lay_out_cohort(root: Path, settings: str = "") -> Federation:
    """Lay out a repository with secure aggregation, of three sites that have sent their keys."""
    names = ("north", "south", "west")
    made = lay_out(root, f"secure_aggregation: true\n{settings}", sites=names)
    (made.folder / "sites").mkdir(exist_ok=True)
    for name in names:
        public = site_key.make(root / f"{name}.key").public_key()
        (made.folder / "sites" / f"{name}.pub").write_text(site_key.line(public, name) + "\n")
    return made


def write(
    federation: Federation,
    images: Images = IMAGES,
    requirements: tuple[str, ...] | None = None,
) -> dict[str, str]:
    """Write the compose files and return them by name."""
    app = federation.root / "build" / federation.name / "app"
    paths = compose.write(federation, app, images, MODEL_BYTES, requirements)
    return {path.name: path.read_text() for path in paths}
