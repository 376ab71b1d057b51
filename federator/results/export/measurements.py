"""Every number of a run as one row: of which model, round, site and set, with its interval."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from federator.results import measured
from federator.results.history import Journal
from federator.results.measured import Figures
from federator.results.privacy import spent
from federator.results.publication import TOGETHER
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.aggregation.contribution import Contribution
from federator.runtime.server.evaluations.result import Result
from federator.runtime.server.journal import Evaluation, Round


@dataclass(frozen=True)
class Measurement:
    """One number.

    Attributes:
        model: ``federation``, ``personal``, or the site that was trained alone.
        round: after which round of training.
        site: the site's name, or ``all sites``.
        set: ``training``, ``validation``, ``test``, or ``privacy``.
        label: the label, class or target that it is of; empty for all together.
        metric: what it is, such as ``loss``, ``examples`` or ``accuracy``.
        value: the number.
        low: the lower end of its 95 % interval, where there is one.
        high: the upper end.
        without: the sites that are not in it, though they took part.
        time: when the journal has it.
    """

    model: str
    round: int
    site: str
    set: str
    label: str
    metric: str
    value: float
    low: float | None
    high: float | None
    without: tuple[str, ...]
    time: datetime


def measurements(journal: Journal) -> list[Measurement]:
    """Return all numbers of a run, sorted by model, round, set and site."""
    found: list[Measurement] = []
    for evaluation in [*journal.validations.values(), *journal.tests.values()]:
        found += _evaluated(journal, evaluation)
    for done in journal.rounds.values():
        found += _trained(journal, done)
    found += _spent(journal)
    models = {name: place for place, name in enumerate([FEDERATION, "personal", *journal.sites])}
    sets = ("training", "validation", "test", "privacy")
    return sorted(
        found,
        key=lambda one: (models.get(one.model, len(models)), one.round, sets.index(one.set),
                         one.site != TOGETHER, one.site),
    )  # fmt: skip


def pooled(evaluation: Evaluation) -> Result | None:
    """Take the sites of an evaluation together; None where their tables do not add up."""
    try:
        return evaluation.pooled()
    except ValueError:
        return None


def _evaluated(journal: Journal, evaluation: Evaluation) -> Iterator[Measurement]:
    together = pooled(evaluation)
    results: dict[str, Result] = {} if together is None else {TOGETHER: together}
    if not journal.start.sites_withheld:
        results |= evaluation.sites
    for site, result in results.items():
        of = _Of(evaluation.model, evaluation.round, site, evaluation.event, evaluation.time)
        absent = tuple(sorted(evaluation.missing)) if site == TOGETHER else ()
        plain = {"examples": float(result.examples), "loss": result.loss}
        figures = measured.figures(journal.view, result)
        for name, value in result.metrics.items():
            plain[f"{name} (notebook)" if name in {*figures, *plain} else name] = value
        yield from of.numbers(plain, absent)
        yield from of.figures(figures, "", absent)
        for label, those in measured.parts(journal.view, result).items():
            yield from of.figures(those, label, absent)


def _trained(journal: Journal, done: Round) -> Iterator[Measurement]:
    delivered = float(sum(part.ok for part in done.sites.values()))
    whole = {"seconds": done.seconds, "sites": delivered, "epsilon_sites": done.epsilon}
    yield from _Of(done.model, done.round, TOGETHER, "training", done.time).numbers(whole)
    if not journal.start.sites_withheld:
        for site, part in done.sites.items():
            of = _Of(done.model, done.round, site, "training", done.time)
            yield from of.numbers(_did(part))


def _did(part: Contribution) -> dict[str, float | None]:
    if not part.ok:
        return {"delivered": 0.0}
    told = {name: getattr(part, name) for name in ("examples", "seconds")}
    told |= {name: getattr(part, name) for name in ("bytes_down", "bytes_up", "bytes_known")}
    if part.update is not None:
        told |= {name: getattr(part.update, name) for name in ("norm", "cosine", "share", "scale")}
    return {"delivered": 1.0, **told}


def _spent(journal: Journal) -> Iterator[Measurement]:
    """Yield the privacy budgets; the largest of the sites' is that of all together."""
    most = spent.largest(journal)
    rows = {} if most is None else {TOGETHER: most}
    if not journal.start.sites_withheld:
        rows |= journal.privacy
    last = max((done.round for done in journal.trained()), default=0)
    for site, row in rows.items():
        told = {"epsilon_training": row.training, "epsilon_evaluations": row.evaluations}
        of = _Of(FEDERATION, last, site, "privacy", row.time)
        yield from of.numbers({**told, "delta": row.delta})


@dataclass(frozen=True)
class _Of:
    """What several numbers are of."""

    model: str
    round: int
    site: str
    set: str
    time: datetime

    def numbers(
        self, values: Mapping[str, float | None], without: tuple[str, ...] = ()
    ) -> Iterator[Measurement]:
        """Yield those that are known."""
        for name, value in values.items():
            if value is not None:
                yield self._one("", name, float(value), without=without)

    def figures(self, found: Figures, label: str, absent: tuple[str, ...]) -> Iterator[Measurement]:
        """Yield those that are defined."""
        for name, one in found.items():
            if one.value is not None:
                without = tuple(sorted({*one.without, *absent}))
                yield self._one(label, name, one.value, one.low, one.high, without)

    def _one(
        self,
        label: str,
        metric: str,
        value: float,
        low: float | None = None,
        high: float | None = None,
        without: tuple[str, ...] = (),
    ) -> Measurement:
        return Measurement(
            self.model, self.round, self.site, self.set, label, metric, value, low, high, without,
            self.time,
        )  # fmt: skip
