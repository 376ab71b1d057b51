"""What a new version of a site's file changes, in lines."""

import difflib
import re
from collections.abc import Iterator, Mapping

from federator.runtime.files import fingerprint
from federator.runtime.review import cohort
from federator.runtime.review.site_file import SiteFile

_IMAGE = re.compile(r"services\.[\w-]+\.image")


def compare(old: SiteFile | None, new: SiteFile) -> Iterator[str]:
    """Return in lines what is different in ``new``; without ``old``, all that it says."""
    for file in filter(None, (old, new)):
        yield f"{fingerprint(file.content)}   {file.name}"
    yield ""
    sections = {
        "Images": [_changed(*(_pick(file, images=True) for file in (old, new)))],
        "Settings": [_changed(*(_pick(file, images=False) for file in (old, new)))],
        "Secure aggregation": [
            _changed(*(list(cohort.described(file.tree)) if file else [] for file in (old, new)))
        ],
        "Code that runs beside the data": list(code(old.app if old else {}, new.app)),
    }
    for title, parts in sections.items():
        lines = [line for part in parts for line in part]
        yield f"{title}: {'' if lines else 'nothing changes'}".rstrip()
        yield from (f"  {line}" for line in lines)
        yield ""
    if old and old.content != new.content and _said(old) == _said(new):
        yield "Only comments differ, or how the same is written."


def _said(file: SiteFile) -> object:
    return file.settings, file.app


def _pick(file: SiteFile | None, images: bool) -> list[str]:
    lines = file.settings if file else ()
    return [line for line in lines if bool(_IMAGE.match(line)) == images]


def _changed(old: list[str], new: list[str]) -> list[str]:
    """Return the lines that go, with a minus, and those that come, with a plus."""
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def code(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield, for each file of an app, the lines by which its new text differs from the old one."""
    for name in sorted({*old, *new}):
        before, after = (app.get(name, "").splitlines() for app in (old, new))
        if not before and not after and (name in old) != (name in new):
            yield [f"{'+' if name in new else '-'}++ {name}, which is empty"]
        yield list(difflib.unified_diff(before, after, name, name, "before", "after", lineterm=""))


def visible(line: str) -> str:
    """Return a line with what a terminal would act on, or turn around, spelled out."""
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode() for c in line
    )
