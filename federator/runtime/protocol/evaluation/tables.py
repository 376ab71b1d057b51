"""Tables that add up over sites: their forms, their sum, and what of them a site lets out.

A site sends no value of a single patient. It counts, or it sums over patients, and what it sends is
a table: rows and columns of numbers that the server adds to those of other sites. A figure of the
sum is that of the pooled sets; a mean of the sites' figures is not.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Table = Sequence[Sequence[float]]
"""Rows of equal length; a count is an int."""
Tables = Mapping[str, Table]

MOST = 2**53  # whole numbers up to here are exact in a double
LARGEST = 1e30  # of a sum


@dataclass(frozen=True)
class Form:
    """The form of a table.

    Attributes:
        rows: number of rows at the finest.
        columns: number of columns at the finest.
        counted: leading rows that hold counts of examples, each of which must reach the site's
            minimum cell count (or be 0). Others are sums: they are as a whole over as many
            examples as their first number says (of a table without counted rows), or over as many
            as the counts above them say.
        rounded: whether counts below the minimum are rounded (rounding.py), instead of joined.
        coarser: smaller sizes, as (rows, columns), that neighbours may be joined to, in the order
            in which they are tried.
    """

    rows: int
    columns: int
    counted: int | None = None
    rounded: bool = False
    coarser: tuple[tuple[int, int], ...] = ()

    @property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """All sizes that such a table may have, the finest first."""
        return ((self.rows, self.columns), *self.coarser)

    @property
    def holds_sums(self) -> bool:
        """Whether it holds sums beside the number of examples, and nothing that is counted."""
        return self.counted == 0

    def counts(self, rows: int) -> int:
        """Return how many leading rows of a table of so many rows hold counts."""
        return rows if self.counted is None else self.counted

    def read(self, value: object) -> Table:
        """Return a table, written anew from its checked cells.

        Raises:
            ValueError: if it is none of this form.
        """
        if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
            raise ValueError("no rows of numbers")
        size = (len(value), len(value[0]) if value else 0)
        if size not in self.sizes or any(len(row) != size[1] for row in value):
            raise ValueError(f"{size[0]} rows of {size[1]}")
        counts = self.counts(size[0])
        rows = [
            [_count(cell) if place < counts else _sum(cell) for cell in row]
            for place, row in enumerate(value)
        ]
        if not counts:
            rows[0][0] = _count(value[0][0])
        return rows

    def release(self, table: Table, minimum: int) -> Table | None:
        """Return a table as coarse as a site's minimum cell count asks for; None if none may leave.

        Args:
            table: of this form.
            minimum: smallest count, other than 0, that may leave.
        """
        for size in self.sizes:
            if size[0] > len(table) or size[1] > len(table[0]):
                continue
            table = coarsen(table, size)
            if self._reaches(table, minimum):
                return table
        return None

    def round_sums(self, table: Table, digits: int) -> Table:
        """Return a table whose sums have so many significant digits; 0 for all. Counts stay."""
        if self.counted is None or not digits:
            return table
        counts = self.counts(len(table))
        return [
            [
                cell if row < counts or (not counts and not place) else rounded(cell, digits)
                for place, cell in enumerate(cells)
            ]
            for row, cells in enumerate(table)
        ]

    def _reaches(self, table: Table, minimum: int) -> bool:
        counted = self.counts(len(table))
        cells = [cell for row in table[:counted] for cell in row] if counted else [table[0][0]]
        return all(cell == 0 or cell >= minimum for cell in cells)


def bins(rows: int, columns: int, least: int = 2, counted: int | None = None) -> Form:
    """Return the form of a table whose columns are bins, of which neighbours may be joined by twos.

    Args:
        rows: number of rows.
        columns: number of bins, a power of two.
        least: the smallest number of bins that still tells something.
        counted: leading rows that hold counts; None for all.
    """
    steps: list[tuple[int, int]] = []
    while (columns_left := columns // 2 ** (len(steps) + 1)) >= least:
        steps.append((rows, columns_left))
    return Form(rows, columns, counted, coarser=tuple(steps))


def coarsen(table: Sequence[Sequence[float]], size: tuple[int, int]) -> Table:
    """Join neighbouring rows and columns until a table has ``size``, as (rows, columns).

    Raises:
        ValueError: if rows or columns are no multiple of it.
    """
    array = as_array(table)
    rows, columns = size
    if not rows or not columns or array.shape[0] % rows or array.shape[1] % columns:
        raise ValueError(f"a table of {array.shape} does not join to {size}")
    parts = (rows, array.shape[0] // rows, columns, array.shape[1] // columns)
    joined: Table = array.reshape(parts).sum(axis=(1, 3)).tolist()
    return joined


def add(tables: Iterable[Sequence[Sequence[float]]]) -> Table:
    """Sum tables of one form, at the size of the coarsest.

    Raises:
        ValueError: if there is none, or their sizes do not join to the smallest.
    """
    given = list(tables)
    if not given or not all(map(len, given)):
        raise ValueError("there is no table to add")
    size = (min(map(len, given)), min(len(table[0]) for table in given))
    parts = [as_array(coarsen(table, size)) for table in given]
    total: Table = np.sum(parts, axis=0).tolist()
    return total


def as_array(table: Sequence[Sequence[float]]) -> NDArray[np.generic]:
    """Return a table as an array: of whole numbers where all of them are."""
    whole = all(isinstance(cell, int) for row in table for cell in row)
    return np.asarray(table, dtype=np.int64 if whole else np.float64)


def rounded(value: float, digits: int) -> float:
    """Return a number to so many significant digits; 0 for all."""
    return float(f"{value:.{digits - 1}e}") if digits else value


def _count(value: object) -> int:
    """Return a count; a message has one as a float where others in its list are no counts."""
    whole = int(value) if type(value) is float and value.is_integer() else value
    if type(whole) is not int or not 0 <= whole <= MOST:
        raise ValueError("a count that is none")
    return whole


def _sum(value: object) -> float:
    if type(value) is int and abs(value) <= MOST:
        return value
    if type(value) is not float or not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError("a sum that is no finite number")
    return value
