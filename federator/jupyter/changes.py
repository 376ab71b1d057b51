"""What would change at the sites: the app of this notebook beside the one in each site's file."""

from collections.abc import Iterator, Mapping

from federator.app import convert
from federator.federation import settings
from federator.federation.parts import Site
from federator.federation.schema import Federation
from federator.jupyter import pages
from federator.jupyter.subject import Subject
from federator.runtime.review.changes import code
from federator.runtime.review.site_file import SiteFile

_SETTINGS = ("services", "link", "environment")


def page(subject: Subject) -> tuple[str, str]:
    """Return the page of what would change, by the files in the federation's folder, and its text.

    Raises:
        InputError: as :func:`convert.render`.
    """
    read = subject.required()
    new = convert.render(read, read.root / "build", subject.notebook.source).app.files
    groups: dict[tuple[str, ...], list[str]] = {}
    fresh = []
    for site in read.sites:
        path = read.folder / f"{site.name}.yaml"
        if path.exists():
            lines = tuple(_lines(SiteFile.read(path), new, read, site))
            groups.setdefault(lines, []).append(site.name)
        else:
            fresh.append(site.name)
    heads = {lines: ", ".join(sites) + _consequence(lines) for lines, sites in groups.items()}
    told = [f"{', '.join(fresh)}: no file yet, so all of it would be new"] if fresh else []
    html = pages.fill(
        "cell_changes.html.j2", subject.notebook, subject=subject, heads=heads, told=told
    )
    text = [subject.told, subject.notebook.told]
    for lines, head in heads.items():
        text += [head, *(f"  {line}" for line in lines)]
    return html, "\n".join([*text, *told])


def _consequence(lines: tuple[str, ...]) -> str:
    if not lines:
        return ": nothing changes in code and settings"
    return ": the site's operator has to review this and take it over"


def _lines(old: SiteFile, new: Mapping[str, str], read: Federation, site: Site) -> Iterator[str]:
    """Yield the lines that go, with a minus, and those that come, with a plus."""
    for name, value in settings.in_site_file(read, site).items():
        before = old.tree.get(*_SETTINGS, name)
        if before is None or before.value != value:
            yield from [f"-{name}: {before.value}"] if before else []
            yield f"+{name}: {value}"
    for part in code(old.app, new):
        yield from part
