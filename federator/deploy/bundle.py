"""A site's folder as one file, for a site that reaches no registry.

Docker forgets an image's registry digest when the image is saved and loaded again. So the images
get tags that repeat their digests. The site's file stays as it is; a second file, which Docker
Compose reads after it, names these tags instead. Checksums prove that the images are the right
ones: people compare the fingerprint of the list of checksums.
"""

import gzip
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from federator.common.templates import Templates
from federator.deploy import site_keys
from federator.errors import FederatorError, InputError, Problem, Where
from federator.federation.schema import Federation
from federator.images import engine
from federator.images.reference import Reference
from federator.runtime.files import COMMAND, file_sha256, fingerprint

_SUMS = "SHA256SUMS"
_IMAGES = "images.tar.gz"


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written.

    Attributes:
        path: the tar.
        fingerprint: the fingerprint of the list of checksums in the tar.
    """

    path: Path
    fingerprint: str


def write(federation: Federation, site: str, folder: Path) -> Bundle:
    """Write ``<federation>-<site>.tar`` into a folder, around the compose file of a site.

    Raises:
        InputError: if the site or its compose file is missing, or that file names no digests.
        EngineError: if an image cannot be pulled or saved.
        FederatorError: if the bundle cannot be written.
    """
    site_keys.require(federation, site)
    compose = federation.folder / f"{site}.yaml"
    images = _images(federation, compose)
    tags = {image: str(_tag(image)) for image in dict.fromkeys(images.values())}
    name = f"{federation.name}-{site}"
    override = {
        "services": {
            service: {"image": tags[image], "pull_policy": "never"}
            for service, image in images.items()
        }
    }
    readme = Templates(federation.root).fill(
        "deploy/bundle.txt",
        federation=federation.name,
        site=site,
        images=list(tags.values()),
        command=COMMAND.format(_SUMS),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as scratch:
            inside, written = Path(scratch, name), Path(scratch, "tar")
            inside.mkdir()
            (inside / "README.txt").write_text(readme, encoding="utf-8")
            (inside / "compose.yaml").write_bytes(compose.read_bytes())
            # JSON is YAML, too.
            (inside / "compose.override.yaml").write_text(json.dumps(override, indent=2) + "\n")
            example = compose.with_suffix(".env.example")
            (inside / "site.env.example").write_bytes(example.read_bytes())
            _save(tags, inside / _IMAGES)
            sums = "".join(
                f"{file_sha256(path)}  {path.name}\n" for path in sorted(inside.iterdir())
            )
            (inside / _SUMS).write_text(sums)
            with tarfile.open(written, "w") as tar:
                tar.add(inside, name, filter=_without_owner)
            written.replace(folder / f"{name}.tar")
    except OSError as error:
        where = Where(str(error.filename or folder))
        raise FederatorError(
            Problem(f"the bundle cannot be written: {error.strerror}", where)
        ) from None
    return Bundle(folder / f"{name}.tar", fingerprint(sums.encode()))


def _images(federation: Federation, compose: Path) -> dict[str, Reference]:
    """Return the images of a compose file, by service."""
    try:
        services = YAML(typ="safe").load(compose.read_bytes())["services"]
        images = {name: Reference.parse(one["image"]) for name, one in services.items()}
    except OSError as error:
        hint = f"run `federator compose {federation.folder}` first"
        raise InputError(Problem(f"{compose}: {error.strerror}", hint=hint)) from None
    except (YAMLError, LookupError, TypeError, AttributeError):
        raise InputError(Problem("is no compose file", Where(compose.name))) from None
    if not all(image.digest for image in images.values()):
        hint = "with --build-at-site a site reaches a registry: run `federator compose` without it"
        raise InputError(Problem("names an image without its digest", Where(compose.name), hint))
    return images


def _tag(image: Reference) -> Reference:
    return replace(image, tag=str(image.digest).replace(":", "-"), digest=None)


def _save(tags: Mapping[Reference, str], path: Path) -> None:
    """Save images under their tags, compressed."""
    for image, tag in tags.items():
        if not engine.has(str(image)):
            engine.show("pull", str(image))
        engine.docker("tag", str(image), tag)
    plain = path.with_suffix("")
    engine.docker("save", f"--output={plain}", *tags.values())
    with plain.open("rb") as source, gzip.open(path, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(source, packed, 2**20)
    plain.unlink()


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
