"""What labels are: class numbers, or something else that is described by its form."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.labels import (
    ARRAYS,
    COLUMNS,
    COMPLEX,
    MASKS,
    NOT_FINITE,
    OBJECTS,
    OUTSIDE,
    RAGGED,
    REAL,
    TEXTS,
)

if TYPE_CHECKING:
    import torch


class Target(NamedTuple):
    """What an array of labels is.

    Attributes:
        classes: the class numbers, of shape (N,); None if it holds something else.
        form: one of :data:`~federator.runtime.protocol.evaluation.labels.FORMS`, where it does.
        dtype: of what was found; empty if that is no array of numbers.
        shape: its shape.
    """

    classes: npt.NDArray[np.int64] | None
    form: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()


def form_of(value: object) -> str:
    """Name what an object is, in words of ``FORMS`` (protocol/evaluation/labels.py)."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "a dictionary"
    for kind, name in ((tuple, "tuple"), (list, "list")):
        if isinstance(value, kind):
            return f"a {name} of {len(value)}" if len(value) < 10 else f"a {name}"
    if isinstance(value, str | bytes):
        return "a text"
    if isinstance(value, int | float | np.number):
        return "a single number"
    if isinstance(value, np.ndarray):
        return "one array"
    return "one tensor" if type(value).__module__.partition(".")[0] == "torch" else "another object"


def read_target(labels: object, classes: int) -> Target:
    """Tell what labels are: this is the one place that decides it.

    Args:
        labels: of a batch or a set: a tensor, an array or a list.
        classes: how many labels K the federation file names.
    """
    array = read_numbers(labels)
    if isinstance(array, str):
        return Target(None, array)
    kind, found = array.dtype.kind, (str(array.dtype), array.shape)
    flat = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if flat.ndim == 0:
        return Target(None, "a single number", *found)
    if flat.ndim > 1:
        return Target(None, COLUMNS if flat.ndim == 2 else MASKS, *found)
    if kind == "c" or not np.isfinite(flat).all():
        return Target(None, COMPLEX if kind == "c" else NOT_FINITE, *found)
    if kind == "f" and not np.array_equal(flat, np.floor(flat)):
        return Target(None, REAL, *found)
    if flat.size and not 0 <= flat.min() <= flat.max() < classes:
        return Target(None, OUTSIDE, *found)
    return Target(flat.astype(np.int64), "", *found)


def read_numbers(values: object) -> npt.NDArray[np.generic] | str:
    """Return a tensor, array or list as an array of numbers; what it is instead, if it is none.

    That is one of :data:`~federator.runtime.protocol.evaluation.labels.FORMS`.
    """
    if isinstance(values, tuple | list) and any(getattr(one, "ndim", 0) for one in values):
        return ARRAYS  # such as (time, event), which numpy would stack
    array = as_array(values)
    if array is None:
        return RAGGED
    if array.dtype.kind in "US":
        return TEXTS
    return array if array.dtype.kind in "biufc" else OBJECTS


def as_array(values: object) -> npt.NDArray[np.generic] | None:
    """Return a tensor, array or list as an array; None if its rows differ in length."""
    if isinstance(values, np.ma.MaskedArray) and values.mask.any():
        values = np.ma.filled(values.astype(float), np.nan)  # else numpy gives what the mask hides
    try:
        return np.asarray(plain(values))
    except (ValueError, TypeError, RuntimeError):
        return None


def plain(values: object) -> object:
    """Return a tensor as numpy takes it: without gradient, on the processor, dense, no bfloat16."""
    if not hasattr(values, "detach"):
        return values
    import torch

    return as_plain(values) if isinstance(values, torch.Tensor) else values


def as_plain(tensor: "torch.Tensor") -> "torch.Tensor":
    """Return a tensor as :func:`plain` does."""
    import torch

    tensor = tensor.detach().cpu()
    tensor = tensor if tensor.layout == torch.strided else tensor.to_dense()
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
