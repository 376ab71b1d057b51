"""What secure aggregation excludes in a federation file, in words."""

from collections.abc import Mapping
from typing import Any

from federator.errors import FederationFileError, Problem
from federator.runtime.masking.terms import MINIMUM

_ALONE = "a model of a site's own would show the server that site's update"
_WITHOUT = "give --no-baselines, or none of both"


def quorum_of(min_sites: int | str, sites: int) -> int:
    """Return how many sites a round needs, from ``min_sites``: a number, or a percentage."""
    if isinstance(min_sites, int):
        return min_sites
    return -(-sites * int(min_sites.rstrip("%")) // 100)


def refuse_baselines(secure_aggregation: bool, baselines: bool) -> None:
    """Refuse baselines that are asked for on the command line.

    Raises:
        FederationFileError: if the federation file has secure aggregation.
    """
    if secure_aggregation and baselines:
        raise FederationFileError(
            Problem(f"secure_aggregation does not go with baselines: {_ALONE}", hint=_WITHOUT)
        )


def excluded(file: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return why ``secure_aggregation`` does not go with other fields, and what to do about it.

    Args:
        file: the fields that were read before, by name; those that are wrong are missing.
    """
    sites = len(file.get("sites", [0] * MINIMUM))
    quorum = quorum_of(file.get("min_sites", "100%"), sites)
    if sites < MINIMUM:
        why = "of two sites each could subtract its own update from the sum"
        return f"needs {MINIMUM} sites at least, not {sites}: {why}", "remove this line"
    if quorum < MINIMUM:
        hint = f"write, for example:  min_sites: {MINIMUM}"
        return f"needs min_sites of {MINIMUM} at least, not {quorum}", hint
    if file.get("baselines"):
        return f"does not go with baselines: {_ALONE}", "write:  baselines: false"
    if file.get("encoding", "float32") != "float32":
        why = "masked numbers have 32 bits, whatever their digits"
        return f"does not go with encoding: {why}", "remove the line of encoding"
    if file.get("strategy") == "own":
        why = "a strategy of the notebook's own is given single updates"
        return f"does not go with strategy: own: {why}", "use one of Flower's averaging strategies"
    if (robust := file.get("robust")) and robust.bounds:
        bounds = " and ".join(robust.bounds)
        why = "the server would bound single updates, and has none"
        return f"does not go with robust: {bounds}: {why}", "remove the lines of robust"
    if file.get("site_privacy"):
        why = "the server would shorten single updates, and has none"
        return f"does not go with site_privacy: {why}", "use privacy, which hides single records"
    return None
