"""Which round's model is the best by validation loss, over the same sites' sets only.

A mean over whichever sites answered would compare rounds on different patients: a round that the
hardest site missed would win. So rounds are compared at one set of sites, each with one size of
its validation set. Of the sets that were measured, that one counts at which there are the most
measurements (sites times rounds); of several, the one with more sites, then of later rounds.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from federator.runtime.server.journal import Evaluation

Measured = Mapping[int, Mapping[str, tuple[float | None, int]]]
"""By round and site: the loss, None where it is not known, and the number of examples."""


@dataclass(frozen=True)
class Selection:
    """The outcome of comparing rounds.

    Attributes:
        round: the best one; None where no loss is known.
        sites: at which they were compared.
        losses: the mean over the examples there, of each round that was compared.
        left_out: why other rounds were not.
    """

    round: int | None = None
    sites: tuple[str, ...] = ()
    losses: Mapping[int, float] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)


def select(measured: Measured) -> Selection:
    """Return the round with the lowest loss; of equal ones the later."""
    known = {number: _known(sites) for number, sites in measured.items()}
    candidates = {members: number for number, members in sorted(known.items()) if members}
    if not candidates:
        return Selection()

    def measurements(members: frozenset[tuple[str, int]]) -> tuple[int, int, int]:
        rounds = sum(members <= other for other in known.values())
        return rounds * len(members), len(members), candidates[members]

    chosen = max(candidates, key=measurements)
    losses = {
        number: mean_loss(measured[number], chosen)
        for number, members in sorted(known.items())
        if chosen <= members
    }
    left_out = {
        number: _lacks(measured[number], chosen - members)
        for number, members in sorted(known.items())
        if not chosen <= members
    }
    best = min(losses, key=lambda number: (losses[number], -number))
    return Selection(best, tuple(sorted(site for site, _ in chosen)), losses, left_out)


def select_round(validations: Iterable[Evaluation]) -> Selection:
    """Return the round whose model has the lowest validation loss; of one done twice, the later."""
    return select(
        {
            each.round: {site: (one.loss, one.examples) for site, one in each.sites.items()}
            for each in validations
        }
    )


def mean_loss(
    sites: Mapping[str, tuple[float | None, int]], members: frozenset[tuple[str, int]]
) -> float:
    """Return the mean over the examples of some sites, whose losses are known."""
    total = sum(examples for _, examples in members)
    return sum((sites[site][0] or 0.0) * (examples / total) for site, examples in sorted(members))


def _known(sites: Mapping[str, tuple[float | None, int]]) -> frozenset[tuple[str, int]]:
    """Return the sites with a loss that is a number, with the size of their sets."""
    return frozenset(
        (site, examples)
        for site, (loss, examples) in sites.items()
        if loss is not None and math.isfinite(loss) and examples > 0
    )


def _lacks(
    sites: Mapping[str, tuple[float | None, int]], lacking: frozenset[tuple[str, int]]
) -> str:
    """Say why a round was not measured as the others were."""
    others = sorted(site for site, size in lacking if sites.get(site, (None, size))[1] != size)
    absent = sorted({site for site, _ in lacking} - set(others))
    said = [f"not measured at {', '.join(absent)}"] if absent else []
    said += [f"another validation set at {', '.join(others)}"] if others else []
    return "; ".join(said)
