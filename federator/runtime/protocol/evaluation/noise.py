"""Counts under differential privacy: matrices with geometric noise, and what they may have been.

Each count gets noise of the two-sided geometric distribution, which has the value k with
probability ``(1 - a) / (1 + a) * a^|k|``, a = exp(-epsilon) (Ghosh, Roughgarden, Sundararajan 2012,
https://arxiv.org/abs/0811.2841, definition 2.4). One example more or less changes one count of a
matrix by 1, so that a matrix costs epsilon; of several matrices, each gets its share. A count
below 0 becomes 0, which costs nothing. The minimum cell count has nothing left to hide then.
"""

import math
import secrets
from collections.abc import Callable

from federator.runtime.protocol.evaluation.rounding import Limits
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import Task

_OUTSIDE = 0.05  # the share of noise beyond the limits
_DIGITS = 2**53


def release(
    task: Task, tables: Tables, epsilon: float, draw: Callable[[], float] | None = None
) -> Tables:
    """Return the matrices among tables, with noise.

    Args:
        task: of which the tables are.
        tables: by name.
        epsilon: that all matrices together may cost; for 0, there are none.
        draw: gives a number above 0 and at most 1, each as often; the operating system's if None.
    """
    share, draw = epsilon / max(1, len(task.matrices)), draw or _uniform
    if not share:
        return {}
    return {
        name: [[max(0, int(cell) + geometric(share, draw)) for cell in row] for row in tables[name]]
        for name in task.matrices
        if name in tables
    }


def geometric(epsilon: float, draw: Callable[[], float]) -> int:
    """Return noise of the two-sided geometric distribution: a difference of two geometric ones."""
    return _one_sided(epsilon, draw()) - _one_sided(epsilon, draw())


def limits(table: Table, epsilon: float) -> Limits:
    """Return what the counts of a matrix may have been, each in 95 of 100 cases.

    Args:
        table: as :func:`release` gave it.
        epsilon: the matrix's share.
    """
    width = spread(epsilon)
    low = [[max(0.0, cell - width) for cell in row] for row in table]
    high = [[cell + width for cell in row] for row in table]
    return Limits(table, low, high)


def spread(epsilon: float) -> int:
    """Return the least w so that noise is within -w..w in 95 of 100 cases.

    It lies beyond in ``2 a^(w + 1) / (1 + a)`` of all.
    """
    beyond = _OUTSIDE * (1 + math.exp(-epsilon)) / 2
    return max(0, math.ceil(math.log(beyond) / -epsilon - 1 - 1e-12))


def _one_sided(epsilon: float, uniform: float) -> int:
    """Return the number of failures before a success of chance ``1 - exp(-epsilon)``."""
    return math.floor(math.log(uniform) / -epsilon)


def _uniform() -> float:
    return (secrets.randbelow(_DIGITS) + 1) / _DIGITS
