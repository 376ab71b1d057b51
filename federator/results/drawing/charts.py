"""The charts of a report: learning curves, charts of the tests, and the time of rounds."""

from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import TypeVar

from federator.common import figures
from federator.results.comparison import compare
from federator.results.drawing import plots
from federator.results.drawing.plots import Chart, Point, Series
from federator.results.findings import rounds
from federator.results.history import Journal
from federator.results.tasks.base import Figure, Shown
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.evaluations.result import Result

T = TypeVar("T")


def step(journal: Journal, most: int) -> int:
    """Return which rounds to draw so that there are at most so many: every one, every second, …."""
    return max(1, ceil(len(journal.curve(FEDERATION)) / most))


def learning(journal: Journal, step: int = 1) -> list[Chart]:
    """Draw the federation's model on all validation sets together and on each of them.

    Args:
        journal: the run's.
        step: one of so many rounds is drawn, counted from the last one.
    """
    charts = []
    for title, value in _shown(journal).items():
        lines = [_line(journal, FEDERATION, value, site, step) for site in [*journal.sites, None]]
        charts.append(plots.chart(title, "Round", [line for line in lines if line.points]))
    return [chart for chart in charts if chart]


def measured(journal: Journal) -> list[str]:
    """Say which rounds of the federation's model were not measured at every site."""
    curve, withheld = journal.curve(FEDERATION), journal.start.sites_withheld
    everywhere = {name for each in curve for name in (*each.sites, *each.missing)}
    by_absent: dict[tuple[str, ...], list[int]] = {}
    for each in curve:
        # Where sites are withheld, figures are of all that were there, in one.
        absent = each.missing if withheld else everywhere - set(each.sites)
        if absent:
            by_absent.setdefault(tuple(sorted(absent)), []).append(each.round)
    sentences = []
    for names, numbers in by_absent.items():
        of = f" at {len(everywhere) - len(names)} of {len(everywhere)} sites"
        when, without = rounds(numbers).capitalize(), ", ".join(names)
        sentences.append(f"{when}: measured{'' if withheld else of}, without {without}.")
    return sentences


def alone(journal: Journal) -> dict[str, list[Chart]]:
    """Draw, at each site, the federation's model and the site's own; on one scale for all."""
    found: dict[str, list[Chart]] = {}
    sites = [site for site in journal.sites if journal.curve(site)]
    for title, value in _shown(journal).items():
        pairs = {}
        for site in sites:
            ours = replace(_line(journal, FEDERATION, value, site), name="Federation", site=None)
            pairs[site] = [
                line for line in (ours, _line(journal, site, value, site)) if line.points
            ]
        scale = plots.span(line for pair in pairs.values() for line in pair)
        for site, pair in pairs.items():
            if chart := plots.chart(title, "Round", pair, scale):
                found.setdefault(site, []).append(chart)
    return found


def tests(journal: Journal) -> list[Chart]:
    """Draw the federation's model at each site, and all models over all sites, by the task."""
    pooled = compare(journal)
    own = [(row, site) for site in journal.sites for row in compare(journal, site, [FEDERATION])]
    own += [(row, "all sites") for row in pooled if row.model == FEDERATION]
    rivals = [(row, row.name) for row in reversed(pooled)]
    groups = {
        "Federation, by test set": own,
        "Each model, all test sets": rivals if len(rivals) > 1 else [],
    }
    charts = []
    for title, rows in groups.items():
        shown = {}
        for row, name in rows:
            site = name if row.model == FEDERATION else row.model
            number = journal.sites.index(site) if site in journal.sites else None
            if not row.missing:
                shown[name] = Shown(row.result.tables, number, row.model != FEDERATION)
        charts += journal.view.charts(title, shown)
    return charts


def without(journal: Journal) -> list[str]:
    """Return the sites that are not in the charts of all sites, as they gave no tables for them."""
    test = journal.tests.get(FEDERATION)
    pooled = test.pooled() if test else None
    named = pooled.without.items() if pooled else ()
    table = journal.view.chart_table
    return sorted({site for name, sites in named if name.startswith(table) for site in sites})


def seconds(journal: Journal, step: int = 1) -> Chart | None:
    """Draw how long each round took, and each site in it; rounds as for :func:`learning`."""
    trained, lines = _every(step, journal.trained()), []
    for number, site in enumerate(journal.sites):
        parts = [(done.round, done.sites[site].seconds) for done in trained if site in done.sites]
        points = [
            Point(x, y, f"round {x}: {figures.duration(y)}") for x, y in parts if y is not None
        ]
        lines.append(Series(site, number, points))
    total = [
        Point(x.round, x.seconds, f"round {x.round}: {figures.duration(x.seconds)}")
        for x in trained
    ]
    lines.append(Series("whole round", None, total))
    return plots.chart("Seconds", "Round", [line for line in lines if line.points])


def latest(journal: Journal) -> dict[str, Figure]:
    """Return what learning curves show of the last evaluation of all sites together, by title."""
    curve = journal.curve(FEDERATION)
    pooled = journal.pooled(curve[-1]) if curve else None
    return {title: value(pooled) for title, value in _shown(journal).items()} if pooled else {}


def _line(
    journal: Journal,
    model: str,
    value: Callable[[Result], Figure],
    site: str | None = None,
    step: int = 1,
) -> Series:
    """Follow a model over the rounds on one site's validation set, or on all of them."""
    points, evaluations = [], journal.curve(model)
    everywhere = {name for evaluation in evaluations for name in evaluation.sites}
    for evaluation in _every(step, evaluations):
        result = evaluation.sites.get(site) if site else journal.pooled(evaluation)
        if result is not None:
            found, part = value(result), ""
            there = {
                name: one.examples
                for name, one in evaluation.sites.items()
                if name not in found.without
            }
            if not site and len(there) < len(everywhere):
                part = f", {len(there)} of {len(everywhere)} sites"
            examples = result.examples if site else sum(there.values())
            tip = f"round {evaluation.round}: {figures.number(found.value)} (n = {examples}{part})"
            kind = None if site else frozenset(there.items())
            points.append(Point(evaluation.round, found.value, tip, not part, kind))
    number = journal.sites.index(site) if site else None
    dashed = model != FEDERATION
    return Series(figures.model(model) if dashed else site or "all sites", number, points, dashed)


def _every(step: int, rounds: list[T]) -> list[T]:
    """Return one of so many rounds, counted from the last one."""
    return rounds[::-step][::-1]


def _shown(journal: Journal) -> dict[str, Callable[[Result], Figure]]:
    """What the learning curves show, by title: the loss, and the task's chief figures."""

    def value(name: str) -> Callable[[Result], Figure]:
        return lambda result: journal.figures(result)[name]

    def metric(name: str) -> Callable[[Result], Figure]:
        return lambda result: Figure(result.metrics.get(name))

    found = {journal.view.columns[name].title: value(name) for name in journal.view.headline}
    if not found:
        named = {name: 0 for each in journal.curve(FEDERATION) for one in each.sites.values()
                 for name in one.metrics}  # fmt: skip
        found = {name: metric(name) for name in named}
    return {"Loss": lambda result: Figure(result.loss), **found}
