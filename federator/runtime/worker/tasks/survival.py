"""Survival: patients counted by risk, and by the time of their event or of their end without."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.labels import NEGATIVE, NOT_BINARY
from federator.runtime.protocol.evaluation.tables import Tables
from federator.runtime.protocol.evaluation.tasks import RISK_BINS, TIMES
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.loaders import too_few
from federator.runtime.worker.targets import form_of
from federator.runtime.worker.tasks.base import Counted, Reader
from federator.runtime.worker.tasks.numbers import read_columns

if TYPE_CHECKING:
    import torch

TASK = "survival"
Numbers = npt.NDArray[np.float64]

# A risk enters as 1 / (1 + exp(-risk)), in bins of equal width: these are the risks between them.
_EDGES = np.log(np.arange(1, RISK_BINS) / np.arange(RISK_BINS - 1, 0, -1))


class SurvivalReader(Reader):
    """Counts times, events and risks, of shape (N,) each, which ``predict`` must return."""

    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Check that there is a ``predict``: batches may have any form."""
        del loader
        if not self.predicts:
            raise Failure(f"{TASK}-needs-predict")
        return ()

    def check_batch(self, batch: object, part: str) -> None:
        """Refuse to do without ``predict``."""
        del batch, part
        raise Failure(f"{TASK}-needs-predict")

    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Refuse to do without ``predict``."""
        del net, batch, part
        raise Failure(f"{TASK}-needs-predict")

    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Refuse to do without ``predict``."""
        del net, loader, part, number
        raise Failure(f"{TASK}-needs-predict")

    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count ``times, events, risks``."""
        del number
        if not isinstance(result, tuple | list) or len(result) != 3:
            raise Failure(f"{TASK}-prediction", form_of(result))
        times = self._column(result[0], "times", part)
        events = self._column(result[1], "events", part, len(times))
        risks = self._column(result[2], "risks", part, len(times))
        self.require_order(times, risks, loader, f"{TASK}-swapped", part)
        if (times < 0).any():
            raise Failure(f"{TASK}-times", NEGATIVE, set=part, shape=times.shape, dtype="float64")
        if not np.isin(events, (0, 1)).all():
            raise Failure(
                f"{TASK}-events", NOT_BINARY, set=part, shape=times.shape, dtype="float64"
            )
        if told := too_few(len(times), loader, part):
            return Counted({}, len(times), (told,))
        if len(times) > 1 and bool((times == times[0]).all() and (risks == risks[0]).all()):
            return Counted({}, len(times), (Notice("all-one-value", part),))
        assert self.settings.horizon is not None  # which the federation file needs for this task
        tables = count(times, events == 1, risks, self.settings.horizon)
        return Counted(tables, len(times), _doubts(tables, part))

    def _column(self, value: object, name: str, part: str, rows: int | None = None) -> Numbers:
        found = read_columns(value, 1, rows)
        if found.values is None:
            raise found.failure(f"{TASK}-{name}", part, 1)
        return found.values[:, 0]


def _doubts(tables: Tables, part: str) -> Sequence[Notice]:
    """Warn if no patient has the event, or if the horizon is likely in another unit."""
    (row,) = tables["times"]
    told = [] if any(row[:TIMES]) else [Notice("no-events", part)]
    if sum(row) in (row[0] + row[TIMES], row[2 * TIMES - 1]):  # all in the first, or at the end
        told.append(Notice("horizon", part))
    return told


def count(times: Numbers, events: npt.NDArray[np.bool_], risks: Numbers, horizon: float) -> Tables:
    """Count patients by risk, and by the interval in which they had their event, or their end.

    What happens after the horizon is left out: who was without the event until then ends there.

    Args:
        times: of shape (N,), from 0, in the unit of the horizon.
        events: whether it happened then, of shape (N,).
        risks: of shape (N,); a higher one dies earlier.
        horizon: the last time that is looked at, above 0.
    """
    events = events & (times <= horizon)
    times = np.minimum(times, horizon)
    interval = np.ceil(times * TIMES / horizon).astype(np.int64) - 1  # holds its last moment
    column = np.clip(interval, 0, TIMES - 1) + np.where(events, 0, TIMES)
    row = np.searchsorted(_EDGES, risks, side="right")
    flat = np.bincount(row * 2 * TIMES + column, minlength=RISK_BINS * 2 * TIMES)
    table = flat.reshape(RISK_BINS, 2 * TIMES)
    return {
        "risks": table.tolist(),
        "times": table.sum(axis=0, keepdims=True).tolist(),
        "pairs": [list(pairs(times, events, risks))],
    }


def pairs(
    times: Numbers, events: npt.NDArray[np.bool_], risks: Numbers
) -> tuple[int, int, int, int]:
    """Return the numbers of events, concordant pairs, pairs of one risk, and comparable pairs.

    A pair is comparable if one of the two had the event and the other was without it for longer, or
    left at that very time; it is concordant if the first had the higher risk (Harrell et al., JAMA
    1982;247:2543).
    """
    later: list[float] = []  # risks of who was without the event for longer, in order
    concordant = tied = comparable = 0
    order = np.lexsort((events, -times))  # the latest first; at one time, those who left first
    values, place = risks[order].tolist(), 0
    ends, happened = times[order].tolist(), events[order].tolist()
    while place < len(values):
        last = place
        while last < len(values) and (ends[last], happened[last]) == (ends[place], happened[place]):
            last += 1
        if happened[place]:
            for risk in values[place:last]:
                below = bisect_left(later, risk)
                concordant += below
                tied += bisect_right(later, risk, below) - below
                comparable += len(later)
        for risk in values[place:last]:
            insort(later, risk)
        place = last
    return int(events.sum()), concordant, tied, comparable
