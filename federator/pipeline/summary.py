"""The Markdown summaries of the pipeline's jobs, for a person to read."""

from dataclasses import dataclass

from federator.common import figures, git
from federator.common.git import GitError
from federator.common.text import fenced, folded, page, table
from federator.deploy.server_file.approval import SERVER
from federator.federation.schema import Federation
from federator.images.build import Images
from federator.images.registry import Registry
from federator.pipeline.delivery import Delivery
from federator.pipeline.plan import Plan
from federator.runtime.files import COMMAND, fingerprint
from federator.runtime.review.changes import compare, visible
from federator.runtime.review.site_file import SiteFile

_FIRST = """\
mv {site}.yaml compose.yaml && mv {site}.env.example .env     # then fill in .env
{fingerprint}
docker compose run --rm join{send}
docker compose up -d"""
_SEND = "     # makes a key: send the line that it prints"
_NEXT = """\
docker compose run --rm review compose.yaml {site}.yaml
{fingerprint}
mv {site}.yaml compose.yaml
docker compose up -d"""


def planned(plan: Plan) -> str:
    """Summarise which federations a push builds, and why not the others."""
    groups = {
        "to be built": plan.build,
        "checked, but not built: its file names no registry (`images:`)": plan.local_only,
        "not concerned by these commits": plan.unconcerned,
    }
    rows = [[name, what] for what, names in groups.items() for name in names]
    doubts = "\n".join(map(str, plan.warnings))
    return page(
        table(["federation", ""], sorted(rows)) if rows else "There is no federation here yet.",
        f"Doubtful:\n\n{fenced(doubts)}" if doubts else "",
    )


def built(read: Federation, images: Images, registry: Registry) -> str:
    """Summarise what was built for a federation, and what each site has to do.

    Raises:
        WebError: if the registry does not say how large the images are.
        OSError: if the compose files have not been written.
    """
    files = [SERVER, *(f"{site.name}.yaml" for site in read.sites)]
    before = b"".join(_committed(read, file) for file in files)
    pushed = [
        [
            name,
            "as before" if str(image.digest).encode() in before else "new",
            figures.size(registry.size(str(image))),
            f"`{image}`",
        ]
        for name, image in images.by_name().items()
    ]
    sites = [_Site.of(read, site.name) for site in read.sites]
    marks = [[site.name, site.state, f"`{fingerprint(site.content)}`"] for site in sites]
    todo = [site.todo() for site in sites if site.old != site.content]
    return page(
        f"## {read.name}",
        table(["image", "", " to download", "name and digest"], pushed),
        table(["site", "its file", "fingerprint, to be compared by telephone"], marks),
        "The server updates itself with the next rounds. Until a site has taken over its new file, "
        "it is listed as outdated, and the rounds run without it if enough sites remain."
        if todo
        else "Nobody has to do anything.",
        *todo,
    )


def delivered(delivery: Delivery) -> str:
    """Summarise where each federation's compose files are now."""
    outcomes = dict.fromkeys(delivery.committed, "committed")
    outcomes |= {
        name: f"wait for a [pull request]({url})" for name, url in delivery.proposed.items()
    }
    outcomes |= dict.fromkeys(delivery.unchanged, "as committed before")
    outcomes |= dict.fromkeys(delivery.left_out, "built by the run of a later push")
    return page(table(["compose files of", ""], sorted(outcomes.items())) if outcomes else "")


@dataclass(frozen=True)
class _Site:
    """A site's file, as it was committed (empty if it was not) and as it is now."""

    name: str
    old: bytes
    content: bytes
    has_key: bool

    @classmethod
    def of(cls, read: Federation, name: str) -> "_Site":
        content = (read.folder / f"{name}.yaml").read_bytes()
        has_key = (read.folder / "sites" / f"{name}.pub").exists()
        return cls(name, _committed(read, f"{name}.yaml"), content, has_key)

    @property
    def state(self) -> str:
        return "new" if not self.old else "as before" if self.old == self.content else "changed"

    def todo(self) -> str:
        """Say what the site does with its file, command by command."""
        if not self.old:
            commands = _FIRST.format(
                site=self.name,
                fingerprint=COMMAND.format("compose.yaml"),
                send="" if self.has_key else _SEND,
            )
            send = f"Send `{self.name}.yaml` and `{self.name}.env.example`. In a folder of its own:"
            return folded(f"What {self.name} does", send, fenced(commands, "sh"))
        file = f"{self.name}.yaml"
        commands = _NEXT.format(site=self.name, fingerprint=COMMAND.format(file))
        versions = (SiteFile.parse(*one) for one in (("before", self.old), ("now", self.content)))
        change = "\n".join(map(visible, compare(*versions)))
        return folded(
            f"What {self.name} does",
            f"Send `{file}`. At the site, beside the present compose.yaml:",
            fenced(commands, "sh"),
            "What `review` shows there:",
            fenced(change),
        )


def _committed(read: Federation, file: str) -> bytes:
    """Return a file of the federation's folder as it was committed; nothing if it was not."""
    try:
        return git.run(read.folder, "show", f"HEAD:./{file}").encode(errors="surrogateescape")
    except GitError:
        return b""
