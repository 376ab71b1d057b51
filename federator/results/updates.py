"""The sites' updates in words: how long each was, in which direction, and which were unusual."""

from collections.abc import Iterator

from federator.common import figures
from federator.results.history import Journal
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.aggregation.contribution import Update
from federator.runtime.server.journal import Round

_SHOWN = 8  # sites in a line of the terminal


def lines(done: Round) -> Iterator[str]:
    """Yield what the terminal shows of a round's updates; of a site's training alone, nothing."""
    if done.epsilon is not None:
        yield f"round {done.round}: epsilon {figures.number(done.epsilon)} so far (whole sites)"
    known = {site: part.update for site, part in done.sites.items() if part.update}
    if done.model != FEDERATION or not known:
        return
    told = [f"{site} {_short(update)}" for site, update in list(known.items())[:_SHOWN]]
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    yield f"round {done.round}, norms of the updates: {', '.join(told)}{more}"
    for site, why in done.unusual.items():
        yield f"round {done.round}, site {site}: unusual update: {why}; {_then(known.get(site))}"


def unusual(journal: Journal) -> dict[str, tuple[list[int], str]]:
    """Return, by site, in which rounds its update was unusual, and how it was in the last one."""
    found: dict[str, tuple[list[int], str]] = {}
    for done in journal.trained():
        for site, why in done.unusual.items():
            numbers = [*found.get(site, ([], ""))[0], done.round]
            part = done.sites.get(site)
            # Where a site's figures are withheld, nothing tells what became of it.
            update = part.update if part else None
            found[site] = numbers, f"{why}; {_then(update)}" if update else why
    return found


def site_privacy(journal: Journal) -> Iterator[str]:
    """Yield what the models hide of whole sites, and what not."""
    costs = [done.epsilon for done in journal.trained() if done.epsilon is not None]
    if costs:
        asked = journal.start.site_privacy
        yield (
            f"Site-level differential privacy: the models hide whether a site took part, with "
            f"epsilon {figures.number(max(costs))} at delta {asked.get('delta', 0):g} (clip "
            f"{asked.get('clip', 0):g}, noise {asked.get('noise', 0):g}). It does not cover what "
            "the coordinator receives, nor counts, losses and metrics. Runs with the same sites "
            "add up."
        )


def _short(update: Update) -> str:
    if update.cosine is None:
        return figures.number(update.norm)
    return f"{figures.number(update.norm)} (cosine {update.cosine:.2f})"


def _then(update: Update | None) -> str:
    """Say what became of an unusual update."""
    if update is not None and update.share == 0:
        return "it is not in the model"
    if update is not None and update.scale < 1:
        return f"it was shortened to {update.scale:.2g} of its length"
    return "it counts as any other"
