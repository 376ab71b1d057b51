"""The figures of a result, each with the sites whose tables it lacks."""

from collections.abc import Callable
from dataclasses import replace

from federator.results.tasks.base import AllLimits, Figure, View
from federator.runtime.protocol.evaluation.tables import Tables
from federator.runtime.server.evaluations.result import Result

Figures = dict[str, Figure]


def figures(view: View, result: Result) -> Figures:
    """Return a figure for each column of a view; it names the sites that are not in it."""
    return _with_absent(view.figures, result)


def parts(view: View, result: Result) -> dict[str, Figures]:
    """Return the figures of each label, class or target by its name, likewise."""
    names = view.parts(result.tables, result.limits)

    def of(name: str) -> Callable[[Tables, AllLimits], Figures]:
        return lambda tables, limits: view.parts(tables, limits).get(name, {})

    return {name: _with_absent(of(name), result) for name in names}


def _with_absent(derive: Callable[[Tables, AllLimits], Figures], result: Result) -> Figures:
    """Derive figures; those that change without a table lack the sites that did not give it."""
    found = derive(result.tables, result.limits)
    for sites in sorted({tuple(sites) for sites in result.without.values()}):
        names = {name for name, absent in result.without.items() if tuple(absent) == sites}
        rest = {name: table for name, table in result.tables.items() if name not in names}
        known = {name: one for name, one in result.limits.items() if name not in names}
        less = derive(rest, known)
        for name, figure in found.items():
            other = less.get(name)
            if other is None or replace(figure, without=()) != other:
                found[name] = replace(figure, without=tuple(sorted({*figure.without, *sites})))
    return found
