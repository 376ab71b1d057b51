"""What an app's configuration says of its evaluation: the task, its labels, its metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast, get_args

from federator.runtime.app_config import Setting
from federator.runtime.protocol.evaluation.tasks import NAMES, Task

Unit = Literal["mm", "voxels"]
Pooling = Literal["mean", "sum", "max"]
"""How a number of the sites' becomes one: the mean weighted by examples, the sum, the largest."""
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


class Surfaces(NamedTuple):
    """Distances between surfaces: the largest that is told apart from larger ones, and its unit."""

    limit: float
    unit: Unit

    @staticmethod
    def of(text: str) -> "Surfaces":
        """Read a text such as "50 mm", which the federation file has checked."""
        limit, unit = text.split(" ")
        return Surfaces(float(limit), cast(Unit, unit))

    def __str__(self) -> str:
        return f"{self.limit:g} {self.unit}"


@dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated, and what its parts are called.

    Attributes:
        task: what the federation predicts.
        names: of the labels, of the classes with the background first, or of the targets.
        positive: the number of the positive one of two labels; None for all else.
        ranges: of each target, the smallest and the largest value that is plausible.
        horizon: the last time of a survival analysis, in the data's unit.
        metrics: further numbers that the author's ``test`` returns, and how they pool.
        surfaces: of a segmentation whose surfaces are compared; None else.
    """

    task: Task
    names: tuple[str, ...]
    positive: int | None = None
    ranges: tuple[tuple[float, float], ...] = ()
    horizon: float | None = None
    metrics: Mapping[str, Pooling] = field(default_factory=dict)
    surfaces: Surfaces | None = None

    @staticmethod
    def of(config: Mapping[str, Setting]) -> "EvaluationSettings":
        """Read the settings that the converter wrote (:meth:`write`).

        Raises:
            ValueError: if they are of another version.
        """
        name = str(config.get("task", "classification"))
        if name not in NAMES:
            raise ValueError(f"unknown task {name}")
        names = tuple(filter(None, str(config.get("labels", "")).split(",")))
        positive = str(config.get("positive", ""))
        ranges = (one.split(":") for one in _split(config.get("ranges")))
        horizon, surfaces = config.get("horizon"), config.get("surfaces")
        return EvaluationSettings(
            Task(name, max(1, len(names))),
            names,
            names.index(positive) if positive in names else None,
            tuple((float(low), float(high)) for low, high in ranges),
            None if horizon is None else float(horizon),
            dict(map(_metric, _split(config.get("metrics")))),
            None if surfaces is None else Surfaces.of(str(surfaces)),
        )

    def write(self) -> dict[str, Setting]:
        """Return the settings as an app's configuration has them: flat, of texts and numbers."""
        positive = "" if self.positive is None else self.names[self.positive]
        metrics = [name if how == "mean" else f"{name}:{how}" for name, how in self.metrics.items()]
        written: dict[str, Setting] = {
            "labels": ",".join(self.names),
            "positive": positive,
            "metrics": ",".join(metrics),
        }
        # Only what is not as ever: else each app of a classification had another hash.
        if self.task.name != "classification":
            written["task"] = self.task.name
        if self.ranges:
            written["ranges"] = ",".join(f"{low!r}:{high!r}" for low, high in self.ranges)
        if self.horizon is not None:
            written["horizon"] = self.horizon
        if self.surfaces is not None:
            written["surfaces"] = str(self.surfaces)
        return written


def _split(written: Setting | None) -> list[str]:
    return list(filter(None, str(written or "").split(",")))


def _metric(written: str) -> tuple[str, Pooling]:
    name, _, how = written.partition(":")
    return name, cast(Pooling, how or "mean")
