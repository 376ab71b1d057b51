"""Which round's model is the best on the validation sets, over the same sites' sets only.

It is the one with the lowest loss. Where sites keep their losses, as they do by their policies'
defaults, it is the one with the smallest error: the share of examples that a confusion matrix has
under a wrong label.

A mean over whichever sites answered would compare rounds on different patients: a round that the
hardest site missed would win. So rounds are compared at one set of sites, each with one size of
its validation set. Of the sets that were measured, that one counts at which there are the most
measurements (sites times rounds); of several, the one with more sites, then of later rounds.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from federator.runtime.server.evaluations.result import Result
from federator.runtime.server.journal import Evaluation

Measured = Mapping[int, Mapping[str, tuple[float | None, int]]]
"""By round and site: the loss or error, None where it is not known, and the number of examples."""


@dataclass(frozen=True)
class Selection:
    """The outcome of comparing rounds.

    Attributes:
        round: the best one; None where nothing is known.
        sites: at which they were compared.
        figures: the mean over the examples there, of each round that was compared.
        left_out: why other rounds were not.
        by: what the figures are.
    """

    round: int | None = None
    sites: tuple[str, ...] = ()
    figures: Mapping[int, float] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)
    by: Literal["loss", "error"] = "loss"

    @property
    def measurements(self) -> int:
        """How many figures of a site in a round were compared."""
        return len(self.sites) * len(self.figures)


def select(measured: Measured) -> Selection:
    """Return the round with the lowest figure; of equal ones the later."""
    known = {number: _known(sites) for number, sites in measured.items()}
    candidates = {members: number for number, members in sorted(known.items()) if members}
    if not candidates:
        return Selection()

    def measurements(members: frozenset[tuple[str, int]]) -> tuple[int, int, int]:
        rounds = sum(members <= other for other in known.values())
        return rounds * len(members), len(members), candidates[members]

    chosen = max(candidates, key=measurements)
    figures = {
        number: mean(measured[number], chosen)
        for number, members in sorted(known.items())
        if chosen <= members
    }
    left_out = {
        number: _lacks(measured[number], chosen - members)
        for number, members in sorted(known.items())
        if not chosen <= members
    }
    best = min(figures, key=lambda number: (figures[number], -number))
    return Selection(best, tuple(sorted(site for site, _ in chosen)), figures, left_out)


def select_round(validations: Iterable[Evaluation]) -> Selection:
    """Return the round whose model is the best on validation sets; of one done twice, the later.

    By errors, if these are known of more sites and rounds than losses are.
    """
    by_loss, by_error = {}, {}
    for each in validations:
        by_loss[each.round] = {site: (one.loss, one.examples) for site, one in each.sites.items()}
        by_error[each.round] = {site: _error(one) for site, one in each.sites.items()}
    losses, errors = select(by_loss), select(by_error)
    return replace(errors, by="error") if errors.measurements > losses.measurements else losses


def _error(result: Result) -> tuple[float | None, int]:
    """Return the share of a site's examples under a wrong label, of all labels, and their number.

    Rounding of the counts leaves the number of examples of each label as it is, and is right in the
    mean.
    """
    matrices = result.matrices.values()
    total = sum(sum(map(sum, matrix)) for matrix in matrices)
    right = sum(row[place] for matrix in matrices for place, row in enumerate(matrix))
    return ((total - right) / total, int(total)) if total > 0 else (None, 0)


def mean(
    sites: Mapping[str, tuple[float | None, int]], members: frozenset[tuple[str, int]]
) -> float:
    """Return the mean over the examples of some sites, whose figures are known."""
    total = sum(examples for _, examples in members)
    return sum((sites[site][0] or 0.0) * (examples / total) for site, examples in sorted(members))


def _known(sites: Mapping[str, tuple[float | None, int]]) -> frozenset[tuple[str, int]]:
    """Return the sites with a figure that is a number, with the size of their sets."""
    return frozenset(
        (site, examples)
        for site, (figure, examples) in sites.items()
        if figure is not None and math.isfinite(figure) and examples > 0
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
