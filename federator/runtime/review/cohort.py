"""Secure aggregation in a site's file, as its ``review`` shows it: the minimum, and whose keys."""

from collections.abc import Iterator

from federator.runtime.keys.site_key import entry_in, fingerprint
from federator.runtime.review.site_file import SiteFile

_NONE = "none: the server learns each site's update"


def described(file: SiteFile) -> Iterator[str]:
    """Yield what the server learns of updates, in lines."""
    minimum = _value(file, "FEDERATOR_COHORT_MINIMUM")
    if not minimum:
        yield _NONE
        return
    yield f"the server learns the sum of the updates of {minimum} sites or more, of these:"
    for text in _value(file, "FEDERATOR_COHORT").split():
        found = entry_in(text)
        yield f"{found[0]}: key {fingerprint(found[1])}" if found else f"{text[:40]}: is no key"


def problems(file: SiteFile) -> Iterator[str]:
    """Yield what is wrong with the cohort that a file names."""
    texts = _value(file, "FEDERATOR_COHORT").split()
    found = [one for one in map(entry_in, texts) if one is not None]
    if len(found) < len(texts) or len({name for name, _ in found}) < len(found):
        yield "it names a site of the cohort without its key, or twice"
    if texts and not _value(file, "FEDERATOR_COHORT_MINIMUM"):
        yield "it has a cohort without a minimum"


def _value(file: SiteFile, name: str) -> str:
    found = file.tree.get("services", "link", "environment", name)
    return "" if found is None else str(found.value or "")
