"""Real numbers of examples, read from what an author's code returned, in columns."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.labels import COMPLEX, NOT_FINITE, OTHER_SHAPE, TOO_LARGE
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.targets import read_numbers

Array = npt.NDArray[np.float64]
_LARGEST = 1e10  # of a value: the sum of the squares of 10^10 such is one that may leave


class Columns(NamedTuple):
    """Numbers (N, columns); None and the form, type and shape of what was found instead."""

    values: Array | None
    form: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()

    def failure(self, reason: str, part: str, columns: int) -> Failure:
        """Return the failure that tells what was found in a set."""
        return Failure(
            reason, self.form, set=part, dtype=self.dtype, shape=self.shape, count=columns
        )


def read_columns(
    value: object, columns: int, rows: int | None = None, missing: bool = False
) -> Columns:
    """Read a tensor, an array or a list of shape (N, columns); of one column, (N,) will do.

    Args:
        value: what the author's code returned.
        columns: how many there must be.
        rows: how many there must be; None for any number from 1.
        missing: whether NaN stands for a number that was not measured.
    """
    values = shaped(value, columns, rows, COMPLEX)
    if isinstance(values, Columns):
        return values
    known = values[~np.isnan(values)] if missing else values
    if not bool(np.isfinite(known).all()):
        return refused(value, NOT_FINITE)
    if not bool((abs(known) <= _LARGEST).all()):
        return refused(value, TOO_LARGE)
    return Columns(values)


def shaped(value: object, columns: int, rows: int | None, form: str) -> Array | Columns:
    """Return numbers as an array of its own, of shape (N, columns); or what was found instead.

    Args:
        value: what the author's code returned; of one column, (N,) will do.
        columns: how many there must be.
        rows: how many there must be; None for any number.
        form: what to say of complex numbers.
    """
    array = read_numbers(value)
    if isinstance(array, str):
        return Columns(None, array)
    given = array
    if columns == 1 and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] != columns or (rows is not None and len(array) != rows):
        return refused(given, OTHER_SHAPE)
    return refused(given, form) if array.dtype.kind == "c" else array.astype(np.float64)


def refused(value: object, form: str) -> Columns:
    """Return the form of numbers that are not as they must be, with their type and shape."""
    array = read_numbers(value)
    assert not isinstance(array, str)  # those are no numbers, and told as such
    return Columns(None, form, str(array.dtype), array.shape[:5])
