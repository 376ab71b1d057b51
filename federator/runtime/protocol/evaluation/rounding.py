"""Confusion matrices with small counts: rounded so that none of them shows, and the sums kept.

A count below the minimum is rounded to 0 or to the minimum, the nearer one, and the largest count
of its row takes the difference: the number of patients with each label stays right. (Rounding to a
base: Hundepool et al., Statistical Disclosure Control, Wiley 2012, chapter 5.) To leave out single
cells instead would hide nothing here, since the sums of the rows are known. The receiver knows
what a rounded count may have been (:func:`limits`), and shows it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from federator.runtime.protocol.evaluation.tables import Table

Row = list[int]


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
        middle: in the middle of what they may have been, with the sums of the rows.
        low: the least.
        high: the most.
    """

    middle: Table
    low: Table
    high: Table


def round_matrix(table: Table, minimum: int) -> Rounded | None:
    """Return a confusion matrix without counts below a minimum; None if none can leave.

    Args:
        table: rows the true label, columns the predicted one.
        minimum: smallest count, other than 0, that may leave.
    """
    rows = [[int(cell) for cell in row] for row in table]
    sums = [sum(row) for row in rows]
    taker = sums.index(max(sums))
    if minimum < 2 or not any(sums):
        return Rounded(rows, (), taker)
    if sum(sums) < minimum:
        return None
    few = tuple(k for k, each in enumerate(sums) if 0 < each < minimum and k != taker)
    moved = sum(sums[k] for k in few)
    found: list[Row] = [
        [0] * len(row) if k in few else _round_row(row, minimum, moved if k == taker else 0)
        for k, row in enumerate(rows)
    ]
    if few and not _hides(found, taker, len(few) * (minimum - 1)):
        return None
    return Rounded(found, few, taker)


def _hides(table: Sequence[Row], taker: int, most: int) -> bool:
    """Tell whether a row may have any number of counts of others, up to ``most``.

    It is the row with the largest sum, and they are added to its largest count: both would be so
    without them as well, else the number was smaller.
    """
    if most < 2:  # one example is no secret where rows of too few are named
        return False
    sums, row = [sum(each) for each in table], list(table[taker])
    largest = row.pop(row.index(max(row)))
    return largest - most > max(row) and sums[taker] - most > max(most, sorted(sums)[-2])


def _round_row(row: Row, minimum: int, more: int) -> Row:
    """Round the counts of a row; its largest takes the differences, and ``more``."""
    largest = row.index(max(row))
    found = [_rounded(count, minimum) for count in row]
    raised = sorted(
        (count, k) for k, count in enumerate(row) if k != largest and count < found[k] == minimum
    )
    total = sum(row) + more
    while True:
        others = found[:largest] + found[largest + 1 :]
        found[largest] = total - sum(others)
        # Where the largest would be small itself, or no longer the largest, fewer are raised.
        if not raised or found[largest] > max(minimum - 1, *others):
            return found
        found[raised.pop(0)[1]] = 0


def _rounded(count: int, minimum: int) -> int:
    if count >= minimum:
        return count
    return minimum if count > (minimum - 1) // 2 else 0


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
    middle, low, high = [], [], []
    for k, row in enumerate(table):
        if k in few:
            ranges = [(0.0, 0, minimum - 1)] * len(row)
        else:
            moved = len(few) if k == taker else 0
            ranges = _ranges([int(cell) for cell in row], minimum, moved)
        middle.append([each[0] for each in ranges])
        low.append([each[1] for each in ranges])
        high.append([each[2] for each in ranges])
    return Limits(middle, low, high)


def _ranges(row: Row, minimum: int, moved: int) -> list[tuple[float, int, int]]:
    """Return the middle, the least and the most of each count of a row.

    Args:
        row: rounded.
        minimum: that it was rounded by.
        moved: how many rows of too few examples were added to its largest count.
    """
    total, largest = sum(row), row.index(max(row))
    if not total:
        return [(0.0, 0, 0)] * len(row)
    half, others = (minimum - 1) // 2, row[:largest] + row[largest + 1 :]
    # If the largest could have spared no further one, a count may have been rounded down.
    spared = row[largest] - minimum > max(minimum, *others)
    ranges: list[tuple[float, int, int]] = []
    for count in row:
        least, most = count, count
        if count == 0:
            most = half if spared else minimum - 1
        elif count == minimum:
            least = half + 1
        ranges.append(((least + most) / 2, least, most))
    ranges[largest] = (0.0, 0, 0)
    middle = total - sum(each[0] for each in ranges) - moved * minimum / 2
    least = total - sum(each[2] for each in ranges) - moved * (minimum - 1)
    most = total - sum(each[1] for each in ranges) - moved
    ranges[largest] = (max(0.0, middle), max(0, least), most)
    return ranges
