"""What a site is sent: one archive with its compose file, its settings and its operator's page.

There is no secret in it. Its fingerprint is not in it either: whoever changed the archive on its
way would change both. The coordinator reads it out by telephone.
"""

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

from federator.common.templates import Templates
from federator.deploy import site_keys
from federator.errors import FederatorError, InputError, Problem, Where
from federator.federation.schema import Federation
from federator.runtime.files import COMMAND, fingerprint, replaced

FILE, SETTINGS, PAGE = "compose.yaml", ".env", "README.md"


@dataclass(frozen=True)
class Invitation:
    """An archive that was written.

    Attributes:
        path: the tar.
        fingerprint: that of the site's compose file, for two people to compare by telephone.
        is_new: whether it is another one than what was there before.
    """

    path: Path
    fingerprint: str
    is_new: bool


def write(federation: Federation, site: str, folder: Path) -> Invitation:
    """Write ``<federation>-<site>-invitation.tar`` into a folder; the same files, the same bytes.

    Raises:
        InputError: if the federation has no such site, or its compose file is not written yet.
        FederatorError: if the archive cannot be written.
    """
    site_keys.require(federation, site)
    path = folder / f"{federation.name}-{site}-invitation.tar"
    try:
        compose = (federation.folder / f"{site}.yaml").read_bytes()
        settings = (federation.folder / f"{site}.env.example").read_bytes()
    except OSError as error:
        hint = f"run `federator compose {federation.folder}` first"
        raise InputError(Problem(f"{error.filename}: {error.strerror}", hint=hint)) from None
    page = Templates(federation.root).fill(
        "deploy/invitation.md",
        federation=federation.name,
        site=site,
        server=federation.server,
        registry=str(federation.images).partition("/")[0],
        archive=path.name,
        command=COMMAND.format(FILE),
    )
    made = _tar({FILE: compose, SETTINGS: settings, PAGE: page.encode()})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists() or path.read_bytes() != made
        if is_new:
            with replaced(path) as out:
                out.write(made)
    except OSError as error:
        what = f"the archive cannot be written: {error.strerror}"
        raise FederatorError(Problem(what, Where(str(path)))) from None
    return Invitation(path, fingerprint(compose), is_new)


def _tar(files: dict[str, bytes]) -> bytes:
    """Return a tar of files that everybody may read, without owners and times."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
