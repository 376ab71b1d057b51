"""The status of a run as its journal has it by now: lines for a terminal, or JSON."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from federator.common import figures
from federator.errors import RunError
from federator.results import history
from federator.results.progress.standing import Standing
from federator.runtime.server.journal import FILE


def newest(results: Path) -> Path:
    """Return the folder of the run that was last written to.

    Args:
        results: a run's folder, or the one that has those of all runs of a federation.

    Raises:
        RunError: if there is no run.
    """
    if (results / FILE).exists():
        return results
    return history.latest(results)


def read(run: Path) -> Standing:
    """Return where the run in a folder stands.

    Raises:
        RunError: if its journal cannot be read.
    """
    standing = Standing()
    try:
        written = (run / FILE).read_bytes()
    except OSError as error:
        raise RunError(f"{run / FILE}: cannot be read ({error.strerror})") from None
    for line in written.split(b"\n")[:-1]:  # the last one may not be complete
        try:
            standing.take(json.loads(history.event_in(line)))
        except (ValueError, LookupError, TypeError):  # what a crash left of a line
            continue
    return standing


def lines(standing: Standing) -> Iterator[str]:
    """Yield what a terminal shows."""
    yield standing.headline
    if standing.reason:
        yield standing.reason
    for site in standing.sites.values():
        text = f"site {site.name}: {site.state}"
        text += f" ({site.reason})" if site.reason else ""
        if site.round is not None:
            text += f", round {site.round}"
            text += f" in {figures.duration(site.seconds)}" if site.seconds is not None else ""
        yield text
    yield from (f"failed: {one}" for one in standing.failures)
    if standing.is_open and standing.heard is not None:
        since = figures.duration((datetime.now(UTC) - standing.heard).total_seconds())
        yield f"the journal has no end yet; its last entry was written {since} ago"


def as_json(standing: Standing) -> str:
    """Return the same as JSON; times are ISO 8601, and what is not known is null."""

    def at(time: datetime | None) -> str | None:
        return time.isoformat(timespec="seconds") if time else None

    fields: dict[str, Any] = {
        "federation": standing.federation,
        "run": standing.run,
        "state": standing.state,
        "reason": standing.reason or None,
        "round": standing.round,
        "rounds": standing.last,
        "alone": standing.alone,
        "waiting": {"sites": standing.waiting, "until": at(standing.until)}
        if standing.until
        else None,
        "ends": at(standing.ends) if standing.state == "running" else None,
        "heard": at(standing.heard),
        "sites": {
            site.name: {
                "state": site.state,
                "reason": site.reason or None,
                "examples": site.examples or None,
                "round": site.round,
                "seconds": site.seconds,
            }
            for site in standing.sites.values()
        },
        "failures": standing.failures,
    }
    return json.dumps(fields, indent=2)
