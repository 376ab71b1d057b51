"""The counts and rounded figures of a survey, from the examples as they are read."""

from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.tables import Table
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.survey import (
    INTENSITIES,
    RECORDS_PER_PROJECTION,
    SKETCHES,
    Survey,
    coarse,
    intensity_bin,
)
from federator.runtime.worker.survey.batches import Examples, Numbers

N = TypeVar("N", bound=np.generic)
_NORMAL = 1.349  # interquartile range of a normal distribution, in deviations
# Of records that are mostly alike, a sketch would show how often each kind is there.
_DISTINCT = 0.95


@dataclass
class Counter:
    """Counts examples; holds a few numbers of each.

    Args:
        task: the federation's.
    """

    task: Task
    _read: dict[str, list[Examples]] = field(default_factory=dict)

    def take(self, part: str, examples: Examples) -> int:
        """Count a batch of a set; return how many of the set have been counted."""
        self._read.setdefault(part, []).append(examples)
        return self.count(part)

    def count(self, part: str) -> int:
        """Return how many examples of a set have been counted."""
        return sum(len(one.hashes) for one in self._read.get(part, ()))

    def survey(self, partial: tuple[str, ...]) -> Survey:
        """Return what has been counted.

        Args:
            partial: sets of which only the first examples were read.
        """
        every = [one for read in self._read.values() for one in read]
        if not every:
            return Survey(partial=partial)
        tables: dict[str, Table] = {
            **self._labels(),
            **self._records(),
            **_targets(every),
            **_by_label(every),
        }
        values = _joined([one.values for one in every])
        squares = _joined([one.squares for one in every])
        missing = _joined([one.missing for one in every])
        for channel in range(values.shape[1]):
            gone = int(missing[:, channel].sum())
            tables[f"missing.{channel}"] = [[len(values) - gone, gone]]
            tables |= _figures(f"channel.{channel}", values[:, channel], squares[:, channel])
            tables[f"intensity.{channel}"] = [_intensities(values[:, channel])]
        inputs = [one.inputs for one in every]
        dtype, shape = _common([one[0] for one in inputs if one])
        target_dtype, target_shape = _common([one.target for one in every])
        return Survey(every[0].form, dtype, shape, target_dtype, target_shape, partial, tables)

    def _labels(self) -> dict[str, Table]:
        found: dict[str, Table] = {}
        for part, read in self._read.items():
            members = _joined([one.members for one in read])
            if not members.size:
                continue
            having = np.nansum(members == 1, axis=0).astype(int).tolist()
            without = np.nansum(members == 0, axis=0).astype(int).tolist()
            one_label = self.task.name == "classification"
            found[f"labels.{part}"] = [having] if one_label else [without, having]
        return found

    def _records(self) -> dict[str, Table]:
        """Sketch each set's records, and count those that two sets of the site have in common."""
        found: dict[str, Table] = {}
        records: dict[str, set[bytes]] = {}
        for part, read in self._read.items():
            hashes = np.concatenate([one.hashes for one in read])
            records[part] = {row.tobytes() for row in hashes}
            if len(records[part]) < _DISTINCT * len(hashes):
                del records[part]
            elif (table := sketch(hashes)) is not None:
                found[f"sketch.{part}"] = table
        for first, second in combinations(records, 2):
            both = len(records[first] & records[second])
            found[f"both.{first}.{second}"] = [[len(records[second]) - both, both]]
        return found


def sketch(hashes: npt.NDArray[np.uint8]) -> list[list[float]] | None:
    """Project a set's records: by bit of the hashes, how many have it, and how many have not.

    The counts are rounded to multiples of the root of their sum, their own deviation times two:
    one record more or less changes few of them. None for a set that is too small.

    Args:
        hashes: of shape (N, bytes).
    """
    count = len(hashes)
    sizes = [size for size in SKETCHES if size * RECORDS_PER_PROJECTION <= count]
    if not sizes:
        return None
    bits = np.unpackbits(hashes, axis=1)[:, : sizes[-1]].sum(axis=0, dtype=np.int64)
    step = max(1, round(count**0.5))
    sides = np.stack([bits, count - bits])
    rounded: list[list[float]] = (np.rint(sides / step).astype(np.int64) * step).tolist()
    return rounded


def _figures(name: str, values: Numbers, squares: Numbers) -> dict[str, Table]:
    known = ~np.isnan(values)
    count = int(known.sum())
    if not count:
        return {}
    means = values[known]
    between = float(means.std())
    mean = float(means.mean())
    deviation = float(max(0.0, squares[known].mean() - mean**2)) ** 0.5
    low, median, high = (float(one) for one in np.quantile(means, (0.25, 0.5, 0.75)))
    spread = (high - low) / _NORMAL
    row = [
        count,
        coarse(mean, between, count),
        coarse(deviation, deviation, count),
        coarse(between, between, count),
        coarse(median, spread or between, count),
        coarse(spread, spread, count),
    ]
    return {name: [row]}


def _targets(every: list[Examples]) -> dict[str, Table]:
    targets = _joined([one.targets for one in every])
    found: dict[str, Table] = {}
    for number in range(targets.shape[1]):
        column = np.where(np.isfinite(targets[:, number]), targets[:, number], np.nan)
        found |= _figures(f"target.{number}", column, np.square(column))
    return found


def _by_label(every: list[Examples]) -> dict[str, Table]:
    means = _joined([one.by_label for one in every])
    if not means.size:
        return {}
    _, labels, channels = means.shape
    found: dict[str, Table] = {}
    for label in range(labels):
        for channel in range(channels):
            column = means[:, label, channel]
            column = column[~np.isnan(column)]
            if count := len(column):
                between = float(column.std())
                row = [count, coarse(float(column.mean()), between, count)]
                found[f"label.{label}.{channel}"] = [[*row, coarse(between, between, count)]]
    return found


def _intensities(values: Numbers) -> list[float]:
    counts = [0] * INTENSITIES
    for value in values[np.isfinite(values)].tolist():
        counts[intensity_bin(value)] += 1
    return [*counts]


def _common(found: list[tuple[str, tuple[int, ...]]]) -> tuple[str, tuple[int, ...]]:
    """Return the type and the shape that all have; a length that differs is 0."""
    if not found or len({(dtype, len(shape)) for dtype, shape in found}) > 1:
        return "", ()
    shapes = [shape for _, shape in found]
    same = tuple(one[0] if len(set(one)) == 1 else 0 for one in zip(*shapes, strict=True))
    return found[0][0], same


def _joined(parts: list[npt.NDArray[N]]) -> npt.NDArray[N]:
    """Join batches of the same form; of batches that differ, those like the first."""
    return np.concatenate([one for one in parts if one.shape[1:] == parts[0].shape[1:]])
