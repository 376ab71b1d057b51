"""Confusion matrices, rounded at random so that no few patients show, and what they may have been.

Each count becomes a multiple of the site's minimum, the one below or above, by chance: as often
that it is right in the mean (random rounding; Hundepool et al., Statistical Disclosure Control,
Wiley 2012, chapter 5). Always the same rounding would show, by models that differ a little, at
which one a patient changes sides. The sums of the rows, the patients with each label, stay right:
the diagonal takes the differences. To leave out single cells instead would hide nothing, since each
would follow from its row.
"""

import secrets
from collections.abc import Callable, Sequence
from math import sqrt
from typing import NamedTuple

from federator.runtime.protocol.evaluation.tables import Table

Row = list[int]
_SURE = 1.959963985  # the 97.5 % quantile of the normal distribution


class Rounded(NamedTuple):
    """A matrix that may leave.

    Attributes:
        table: its counts, each of which is 0 or at least the minimum; their sum is that of before.
        few: the rows whose sum was below the minimum, but not 0: they are empty, and the row
            ``taker`` has their counts.
        taker: the row with the largest sum.
    """

    table: Table
    few: tuple[int, ...]
    taker: int


class Limits(NamedTuple):
    """What the counts of a rounded matrix may have been, each for itself.

    Attributes:
        middle: what they are in the mean of all chances.
        low: the least; of several sites together, in 97.5 of 100 cases.
        high: the most, likewise.
    """

    middle: Table
    low: Table
    high: Table


def round_matrix(
    table: Table, minimum: int, draw: Callable[[int], int] = secrets.randbelow
) -> Rounded | None:
    """Return a confusion matrix without counts below a minimum; None if none can leave.

    Args:
        table: rows the true label, columns the predicted one.
        minimum: smallest count, other than 0, that may leave; below 2, all are exact.
        draw: gives a whole number below its argument, each as often.
    """
    rows = [[int(cell) for cell in row] for row in table]
    sums = [sum(row) for row in rows]
    taker = sums.index(max(sums))
    if minimum < 2 or not any(sums):
        return Rounded(rows, (), taker)
    few = tuple(k for k, each in enumerate(sums) if 0 < each < minimum and k != taker)
    moved, most = sum(sums[k] for k in few), len(few) * (minimum - 1)
    # Who takes rows of few must be the largest with any number of them, else it was a smaller one.
    rest = max(sums[:taker] + sums[taker + 1 :])
    if sums[taker] < minimum or (few and (most < 2 or sums[taker] + moved - most <= rest)):
        return None
    found = [
        [0] * len(row)
        if k in few
        else _round_row(row, k, sums[k] + (moved if k == taker else 0), minimum, draw)
        for k, row in enumerate(rows)
    ]
    return Rounded(found, few, taker)


def _round_row(row: Row, rest: int, total: int, minimum: int, draw: Callable[[int], int]) -> Row:
    """Round a row's counts by their sums from the left: these differ by less than the minimum.

    Args:
        row: counts.
        rest: the place of the one that takes what is missing from ``total``.
        total: what they sum to then, at least the minimum or 0.
        minimum: what they are rounded to multiples of.
        draw: gives a whole number below its argument.
    """
    if not total:
        return row
    last = (total // minimum - 1) * minimum  # the last multiple that leaves the minimum over
    up, end = draw(minimum), draw(total - last)
    found, below, before = [0] * len(row), 0, 0
    for place, count in enumerate(row):
        if place == rest:
            continue
        below += count
        if below < last:
            rounded = (below + up) // minimum * minimum
        else:
            rounded = total if below + end >= total else last
        found[place], before = rounded - before, rounded
    found[rest] = total - before
    return found


def limits(table: Table, minimum: int, few: Sequence[int] = ()) -> Limits:
    """Return what the counts of a matrix may have been before it was rounded.

    Args:
        table: as :func:`round_matrix` gave it.
        minimum: that it was rounded by; below 2 if it was not.
        few: the rows that were left empty since they were of too few examples.
    """
    if minimum < 2:
        return Limits(table, table, table)
    sums = [sum(row) for row in table]
    taker = sums.index(max(sums))
    middle, low, high = ([list(row) for row in table] for _ in range(3))
    for k, row in enumerate(table):
        # Near the end of a row the last step is up to twice as wide: a count that ends there is a
        # difference of a usual step and this one.
        near = row[k] < 2 * minimum
        for place, count in enumerate(row):
            steps = 1 if not near else 2 if place == k else 3
            within = steps * (minimum - 1)
            if k in few:
                low[k][place], high[k][place] = 0, minimum - 1
            elif sums[k]:
                low[k][place] = max(0, count - within)
                high[k][place] = min(sums[k], count + within)
    if few:  # their counts were added to the diagonal
        middle[taker][taker] = max(0, middle[taker][taker] - len(few) * minimum / 2)
        low[taker][taker] = max(0, low[taker][taker] - len(few) * (minimum - 1))
    return Limits(middle, low, high)


def add_limits(each: Sequence[Limits]) -> Limits:
    """Return what the sums of sites' counts may have been.

    The chances of several sites mostly cancel out: a count within ``w`` of its mean has a standard
    deviation of at most ``(w + 1) / 2``, and the sum that of independent ones.
    """
    middle, low, high = (
        [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*part, strict=True)]
        for part in zip(*each, strict=True)
    )
    for k, row in enumerate(middle):
        for place, count in enumerate(row):
            within = (_width(one, k, place) for one in each)
            likely = _SURE * sqrt(sum(((width + 1) / 2) ** 2 for width in within if width))
            low[k][place] = max(low[k][place], count - likely)
            high[k][place] = min(high[k][place], count + likely)
    return Limits(middle, low, high)


def _width(one: Limits, row: int, column: int) -> float:
    middle = one.middle[row][column]
    return max(one.high[row][column] - middle, middle - one.low[row][column])
