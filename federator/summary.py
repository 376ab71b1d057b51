"""What a person reads of the pipeline: the summaries of its jobs, in Markdown.

The rules of the federation file keep names plain; what else an author may have written stands in
a fence, where Markdown shows it as it is.
"""

from dataclasses import dataclass

from federator import figures, git
from federator.compose import SERVER
from federator.federation import Federation
from federator.git import GitError
from federator.images import Images
from federator.job import fenced
from federator.plan import Plan
from federator.registry import Registry
from federator.runtime import review
from federator.runtime.fingerprint import COMMAND, fingerprint
from federator.runtime.review import SiteFile
from federator.templates import Templates


@dataclass(frozen=True)
class Image:
    """An image of a federation, as far as it is told."""

    name: str
    repository: str
    digest: str
    size: str
    is_new: bool


@dataclass(frozen=True)
class Site:
    """A site's file.

    Attributes:
        name: the site's name.
        fingerprint: that of its file.
        change: what is different from the file that was committed before; empty if nothing is.
        is_new: whether none was.
        has_key: whether the site has sent its public key.
    """

    name: str
    fingerprint: str
    change: str
    is_new: bool
    has_key: bool


def planned(plan: Plan) -> str:
    """Tell what of a push is to be built, and why the rest is not."""
    told = {
        "To be built": plan.build,
        "Checked and converted, but without `images:` in their file to say where they are pushed "
        "to": plan.rehearsed,
        "Not concerned by these commits": plan.left,
    }
    lines = [f"- {what}: {', '.join(names)}" for what, names in told.items() if names]
    doubts = "\n".join(str(warning) for warning in plan.warnings)
    warnings = f"\n\nDoubtful:\n\n{fenced(doubts)}" if doubts else ""
    return "\n".join(lines or ["There is no federation in `compose/`."]) + warnings


def built(read: Federation, images: Images, registry: Registry) -> str:
    """Tell what was built and written for a federation, and what each site has to do.

    Raises:
        WebError: if the registry does not say how large the images are.
        OSError: if the compose files have not been written.
    """
    before = _committed(read, SERVER)
    for site in read.sites:
        before += _committed(read, f"{site.name}.yaml")
    told = [
        Image(
            name,
            f"{image.host}/{image.repository}",
            image.digest or "",
            figures.size(registry.size(str(image))),
            str(image.digest).encode() not in before,
        )
        for name, image in images.by_name().items()
    ]
    sites = [_site(read, site.name) for site in read.sites]
    return Templates(read.root).fill(
        "built.md", federation=read, images=told, sites=sites, fenced=fenced, command=COMMAND
    )


def _site(read: Federation, name: str) -> Site:
    content, old = (read.folder / f"{name}.yaml").read_bytes(), _committed(read, f"{name}.yaml")
    change = ""
    if old and old != content:
        files = (SiteFile.parse(file, text) for file, text in (("before", old), ("now", content)))
        change = "\n".join(map(review.visible, review.compare(*files)))
    has_key = (read.folder / "sites" / f"{name}.pub").exists()
    return Site(name, fingerprint(content), change, not old, has_key)


def _committed(read: Federation, file: str) -> bytes:
    """Return a file of the federation's folder as it was committed; nothing if it was not."""
    try:
        return git.run(read.folder, "show", f"HEAD:./{file}").encode(errors="surrogateescape")
    except GitError:
        return b""
