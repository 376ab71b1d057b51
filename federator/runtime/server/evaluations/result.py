"""A model's result on the set of one site, or on those of several sites taken together."""

from collections.abc import Mapping, Sequence
from math import isfinite

from pydantic import BaseModel, ConfigDict

from federator.runtime.protocol.evaluation import noise, tables
from federator.runtime.protocol.evaluation.release import few_of
from federator.runtime.protocol.evaluation.rounding import Limits, add_limits, limits
from federator.runtime.protocol.evaluation.settings import Pooling
from federator.runtime.protocol.evaluation.tasks import Task

_SEVERAL = 2  # sites whose sum is of no single one


class Result(BaseModel):
    """A model on one site's data, or on that of several sites taken together.

    Attributes:
        tables: by name (protocol/evaluation/tasks.py).
        loss: mean over the examples.
        examples: number of examples.
        metrics: further numbers, by name.
        withheld: names of tables, and of rows of a matrix, that the site's minimum cell count keeps
            there.
        rounded: the minimum by which the site rounds confusion matrices; below 2, they are exact.
        noise: under differential privacy, the epsilon of the noise on one site's matrices.
        without: of several sites, those that did not give a table, by its name.
        rounded_sums: of several sites, what their matrices with rounding or noise may add up to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    tables: dict[str, list[list[int | float]]] = {}
    loss: float | None = None
    examples: int
    metrics: dict[str, float] = {}
    withheld: list[str] = []
    rounded: int = 0
    noise: float | None = None
    without: dict[str, list[str]] = {}
    rounded_sums: dict[str, Limits] = {}

    @property
    def matrices(self) -> dict[str, list[list[int | float]]]:
        """The confusion matrices, by name."""
        return {k: v for k, v in self.tables.items() if k.partition(".")[0] == "confusion"}

    @property
    def limits(self) -> dict[str, Limits]:
        """What the counts of confusion matrices may have been, with rounding or noise."""
        if self.rounded < 2 and not self.noise:
            return self.rounded_sums
        matrices = self.matrices
        if self.noise:
            return {k: noise.limits(v, self.noise / len(matrices)) for k, v in matrices.items()}
        return {
            name: limits(table, self.rounded, few_of(self.withheld, name))
            for name, table in matrices.items()
        }

    def fitting(self, task: Task) -> "Result | None":
        """Leave out numbers that are none; None if the tables are not of this task."""
        forms = task.forms
        try:
            read = {name: forms[name].read(table) for name, table in self.tables.items()}
            if self.noise is None:  # with noise, tables contradict one another
                task.examples(read)
        except (KeyError, ValueError):
            return None
        if self.examples < 0:
            return None
        return self.model_copy(
            update={
                "tables": read,
                "loss": self.loss if self.loss is None or isfinite(self.loss) else None,
                "metrics": {name: one for name, one in self.metrics.items() if isfinite(one)},
            }
        )


def pool(sites: Mapping[str, Result], pooling: Mapping[str, Pooling]) -> Result:
    """Take sites together, as if their sets were one.

    A table is pooled over the sites that gave it, if they are all or at least two (one alone would
    show a single site); the result names the others.

    Args:
        sites: a model's results at one or more sites, by name.
        pooling: how a metric becomes one of all sites, where it is not their mean.
    """
    parts = list(sites.values())
    metrics = set.intersection(*(set(part.metrics) for part in parts))
    pooled = {
        name: _metric(pooling.get(name, "mean"), [(p.metrics[name], p.examples) for p in parts])
        for name in sorted(metrics)
    }
    filled = {site: part for site, part in sites.items() if part.examples} or dict(sites)
    names = dict.fromkeys(name for part in filled.values() for name in part.tables)
    given = {name: [part for part in filled.values() if name in part.tables] for name in names}
    shared = {
        name: having
        for name, having in given.items()
        if len(having) == len(filled) or len(having) >= _SEVERAL
    }
    return Result(
        tables={
            name: tables.add(p.tables[name] for p in having) for name, having in shared.items()
        },
        loss=_mean([(part.loss, part.examples) for part in parts]),
        examples=sum(part.examples for part in parts),
        metrics={name: value for name, value in pooled.items() if value is not None},
        withheld=sorted({name for part in parts for name in part.withheld}),
        without={
            name: sorted(site for site, part in filled.items() if name not in part.tables)
            for name, having in shared.items()
            if len(having) < len(filled)
        },
        rounded_sums={
            name: _sum_of_limits(having, name)
            for name, having in shared.items()
            if any(name in part.limits for part in having)
        },
    )


def _sum_of_limits(parts: Sequence[Result], name: str) -> Limits:
    return add_limits([part.limits.get(name) or Limits(*[part.tables[name]] * 3) for part in parts])


def _metric(how: Pooling, parts: Sequence[tuple[float, int]]) -> float | None:
    if how == "mean":
        return _mean(parts)
    values = [value for value, _ in parts]
    return sum(values) if how == "sum" else max(values)


def _mean(parts: Sequence[tuple[float | None, int]]) -> float | None:
    """Mean over examples; None where a part's value is unknown, or there are no examples."""
    total = sum(examples for _, examples in parts)
    values = [value * examples for value, examples in parts if value is not None]
    return sum(values) / total if total and len(values) == len(parts) else None
