"""What a reader must know before using a run's figures.

The report shows it on its first screen, the terminal at the end of a run.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from federator.common import figures
from federator.results.history import Journal
from federator.results.measured import figures as figures_of
from federator.results.privacy import spent
from federator.results.updates import site_privacy, unusual
from federator.runtime.protocol.evaluation import noise
from federator.runtime.protocol.evaluation.release import LOSS, few_of
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.evaluations.result import Result
from federator.runtime.server.journal import Evaluation
from federator.runtime.server.selection import Selection, select_round

_SLIGHT = 1e-6  # a relative difference of losses that counts as none


@dataclass(frozen=True)
class Finding:
    """A finding, and the sites that it concerns; none if it concerns the whole run."""

    text: str
    sites: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join(self.sites)}: {self.text}" if self.sites else self.text


def findings(journal: Journal) -> list[Finding]:
    """Return what there is to know of a run; what several sites warned of alike is one finding."""
    warned: dict[str, dict[str, None]] = {}
    for state in journal.states:
        if state.state == "warned" and state.reason:
            warned.setdefault(state.reason, {})[state.site] = None
    return [
        *_of_survey(journal),
        *map(Finding, site_privacy(journal)),
        *_of_updates(journal),
        *map(Finding, journal.start.warnings),
        *map(Finding, spent.sentences(journal)),
        *map(Finding, _final(journal)),
        *map(Finding, _untested(journal)),
        *map(Finding, _left_out(journal)),
        *_withheld(journal),
        *_clipped(journal),
        *(Finding(text, tuple(sites)) for text, sites in warned.items()),
    ]


def _clipped(journal: Journal) -> Iterator[Finding]:
    """Tell which sites' steps secure aggregation clipped, so that the mean is another."""
    found: dict[str, list[int]] = {}
    for done in journal.trained():
        for site in done.masked.saturated if done.masked else ():
            found.setdefault(site, []).append(done.round)
    for site, numbers in found.items():
        text = (
            f"secure aggregation clipped the largest steps of its update in {rounds(numbers)}: "
            "scale the inputs, or train more slowly"
        )
        yield Finding(text, (site,))


def _of_survey(journal: Journal) -> Iterator[Finding]:
    """Tell what the survey found in the sites' data."""
    for one in journal.survey.findings if journal.survey else ():
        yield Finding(
            f"{one.kind}: {one.text}. {one.remedy[:1].upper()}{one.remedy[1:]}.", one.sites
        )


def _of_updates(journal: Journal) -> Iterator[Finding]:
    """Tell whose updates were unusual."""
    for site, (numbers, why) in unusual(journal).items():
        yield Finding(
            f"its update was unusual in {rounds(numbers)} (in the last of them, {why}). Ask the "
            "site what is different in its data or its software; `robust:` bounds what one site "
            "can do.",
            (site,),
        )


def selection(journal: Journal) -> Selection:
    """Compare the federation's rounds as ``select: best`` does."""
    return select_round(journal.curve(FEDERATION))


def rounds(numbers: list[int]) -> str:
    """Write numbers of rounds, neighbours as a range."""
    parts: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1] = (parts[-1][0], number)
        else:
            parts.append((number, number))
    ranges = [str(first) if first == last else f"{first} to {last}" for first, last in parts]
    return f"round{'s' if len(numbers) > 1 else ''} {', '.join(ranges)}"


def _final(journal: Journal) -> Iterator[str]:
    """Compare the final model with the first one, at the sites that measured both."""
    final = journal.end.model_round if journal.end else None
    curve = {each.round: each for each in journal.curve(FEDERATION)}
    if final is None or journal.state != "finished" or 0 not in curve:
        return
    if final == 0:
        yield "No round was better than the first model, which is the final one."
        return
    if final not in curve:
        return
    first, last, count = _together(curve[0], curve[final])
    if first is None or last is None:
        return
    changes = [_change("loss", first.loss, last.loss)]
    worse = _rose(first.loss, last.loss)
    for name in journal.view.headline[:1]:
        column = journal.view.columns[name]
        before, after = (figures_of(journal.view, one)[name] for one in (first, last))
        if before.without != after.without:  # they are of other patients
            continue
        if column.better == "lower":
            worse |= _rose(before.highest, after.lowest)
        else:
            worse |= _rose(after.highest, before.lowest)
        changes.append(_change(figures.inside(column.title), before.value, after.value))
    if not worse:
        return
    withheld = journal.start.sites_withheld
    where = "over all sites" if withheld else f"at the same {count} site{'s' if count > 1 else ''}"
    text = (
        f"The final model (round {final}) is worse than the first one: validation "
        f"{', '.join(changes)}, {where}."
    )
    best = selection(journal)
    if journal.start.select == "last" and best.round not in (None, final):
        assert best.round is not None
        figure = figures.number(best.figures[best.round])
        text += f" `select: best` would have chosen round {best.round} ({best.by} {figure})."
    yield text


def _together(one: Evaluation, other: Evaluation) -> tuple[Result | None, Result | None, int]:
    """Pool two evaluations over the sites that made both on sets of one size."""
    same = [
        site
        for site, result in one.sites.items()
        if site in other.sites and other.sites[site].examples == result.examples
    ]
    pooled = [
        each.model_copy(update={"sites": {site: each.sites[site] for site in same}}).pooled()
        for each in (one, other)
    ]
    return pooled[0], pooled[1], len(same)


def _rose(before: float | None, after: float | None) -> bool:
    if before is None or after is None:
        return False
    shown = figures.number(before) != figures.number(after)  # else a reader sees no difference
    return shown and after - before > _SLIGHT * max(1.0, abs(before))


def _change(name: str, before: float | None, after: float | None) -> str:
    return f"{name} {figures.number(before)} → {figures.number(after)}"


def _untested(journal: Journal) -> Iterator[str]:
    """Tell where the final model could not be tested."""
    test = journal.tests.get(FEDERATION)
    for site, reason in (test.missing if test else {}).items():
        yield f"The final model was not tested at {site}: {reason}."
    if journal.misfits:
        yield (
            f"Figures of {', '.join(sorted(journal.misfits))} were left out: they do not fit "
            f"the task ({journal.start.task}, {', '.join(journal.start.labels)})."
        )


def _withheld(journal: Journal) -> Iterator[Finding]:
    """Tell what sites keep, round, or add noise to, of the final model's tests."""
    by_names: dict[str, list[str]] = {}
    by_rows: dict[str, list[str]] = {}
    rounding: dict[int, list[str]] = {}
    noised: dict[int, list[str]] = {}
    without_loss: list[str] = []
    test = journal.tests.get(FEDERATION)
    forms, labels = journal.view.settings.task.forms, journal.start.labels
    for site, result in (test.sites if test else {}).items():
        if result.noise is not None:
            if limits := list(result.limits.values()):
                noised.setdefault(noise.spread(result.noise / len(limits)), []).append(site)
            continue
        kept = [name for name in result.withheld if name in forms]
        rows = [f"“{labels[k]}”" for k in few_of(result.withheld, "confusion") if k < len(labels)]
        if LOSS in result.withheld:
            without_loss.append(site)
        if kept:
            by_names.setdefault(", ".join(kept), []).append(site)
        if rows:
            by_rows.setdefault(", ".join(rows), []).append(site)
        if result.rounded > 1:
            rounding.setdefault(result.rounded, []).append(site)
    for width, sites in noised.items():
        yield Finding(
            f"counts of confusion matrices have noise of differential privacy: of 100 counts, 95 "
            f"are within {width} of the true ones, and intervals cover that. Nothing else of the "
            "test set left.",
            tuple(sites),
        )
    if without_loss:
        yield Finding(
            "the loss on the test set did not leave the site, nor did the metrics that the "
            "federation file declares: a site keeps them unless its policy lets them leave "
            "(losses). Those of all sites together are missing.",
            tuple(without_loss),
        )
    for names, sites in by_names.items():
        yield Finding(
            f"{names} of the test set did not leave the site: a count is below its "
            "min_cell_count. Its own figures that follow from it are missing; those of all sites "
            "together are without it, and say so.",
            tuple(sites),
        )
    for names, sites in by_rows.items():
        yield Finding(
            f"{names}: fewer test examples than the site's min_cell_count. They are counted with "
            "those of its most frequent label.",
            tuple(sites),
        )
    for minimum, sites in rounding.items():
        yield Finding(
            f"counts of confusion matrices are rounded at random, to multiples of {minimum} "
            "(min_cell_count): figures are right in the mean, and intervals cover what is hidden.",
            tuple(sites),
        )


def _left_out(journal: Journal) -> Iterator[str]:
    """Tell which rounds the choice of the model did not compare, and why."""
    chosen = journal.selection
    if chosen is None or not chosen.left_out:
        return
    by_reason: dict[str, list[int]] = {}
    for number, reason in chosen.left_out.items():
        by_reason.setdefault(reason, []).append(number)
    why = "; ".join(f"{rounds(numbers)}: {reason}" for reason, numbers in by_reason.items())
    yield f"`select: best` compared rounds at {', '.join(chosen.sites)} only, and left out {why}."
