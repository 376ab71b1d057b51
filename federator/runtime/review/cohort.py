"""Secure aggregation in a site's file, as its ``review`` shows it: the minimum, and whose keys."""

from collections.abc import Iterator

from federator.runtime.keys.site_key import entries_in, entry_in, fingerprint
from federator.runtime.review.yaml_tree import Tree

_NONE = "none: the server learns each site's update"


def described(file: Tree) -> Iterator[str]:
    """Yield what the server learns of updates, in lines."""
    minimum = _value(file, "FEDERATOR_COHORT_MINIMUM")
    if not minimum:
        yield _NONE
        return
    yield f"the server learns the sum of the updates of {minimum} sites or more, of these:"
    for text in _value(file, "FEDERATOR_COHORT").split():
        found = entry_in(text)
        yield f"{found[0]}: key {fingerprint(found[1])}" if found else f"{text[:40]}: is no key"


def problems(file: Tree) -> Iterator[str]:
    """Yield what is wrong with the cohort that a file names."""
    texts = _value(file, "FEDERATOR_COHORT").split()
    try:
        entries_in(texts)
    except ValueError:
        yield "it names a site of the cohort without its key, or a site or a key twice"
    if texts and not _value(file, "FEDERATOR_COHORT_MINIMUM"):
        yield "it has a cohort without a minimum"


def _value(file: Tree, name: str) -> str:
    found = file.get("services", "link", "environment", name)
    return "" if found is None else str(found.value or "")
