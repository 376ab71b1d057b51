"""Survival: patients counted by risk, and by the time of their event or of their end without."""

from bisect import bisect_left, bisect_right, insort

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.tables import Tables
from federator.runtime.protocol.evaluation.tasks import RISK_BINS, TIMES

Numbers = npt.NDArray[np.float64]

# A risk enters as 1 / (1 + exp(-risk)), in bins of equal width: these are the risks between them.
_EDGES = np.log(np.arange(1, RISK_BINS) / np.arange(RISK_BINS - 1, 0, -1))


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
