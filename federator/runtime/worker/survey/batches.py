"""What a batch of any task holds: its examples' values by channel, labels, targets and hashes."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.survey import CHANNELS, LABELLED, SKETCHES
from federator.runtime.worker.targets import as_array, form_of

Numbers = npt.NDArray[np.float64]

_TARGETS = ("labels", "label", "targets", "target", "y")  # keys of a dictionary's labels
_MOST_CHANNELS = 16  # of an image or a signal; an axis that is longer is none of channels
_DIGEST = max(SKETCHES) // 8  # bytes


@dataclass(frozen=True)
class Examples:
    """What a batch of N examples holds; what cannot be told is empty.

    Attributes:
        form: what the batch is, one of ``FORMS``.
        inputs: of each array of inputs its type and shape.
        target: the same of the labels, masks or targets.
        values: each example's mean by channel, of shape (N, C); NaN where all is missing.
        squares: the mean of the squares, of the same shape.
        missing: whether the example has missing or infinite values in the channel.
        members: by label, whether the example has it, of shape (N, K); NaN where that is unknown.
        by_label: the mean of each channel over what has label k, of shape (N, K, C).
        targets: of a regression or survival, of shape (N, T).
        hashes: of each example's inputs, of shape (N, bytes).
    """

    form: str
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    target: tuple[str, tuple[int, ...]]
    values: Numbers
    squares: Numbers
    missing: npt.NDArray[np.bool_]
    members: Numbers
    by_label: Numbers
    targets: Numbers
    hashes: npt.NDArray[np.uint8]


def examples_in(batch: object, task: Task, salt: bytes) -> Examples:
    """Take a batch apart; what is in it is no matter, more or less is told.

    Args:
        batch: of a loader, in whatever form.
        task: the federation's.
        salt: of the records' hashes.
    """
    arrays, target = _split(batch)
    size = len(arrays[0]) if arrays else 0
    channels = next((found for one in arrays if (found := _by_channel(one)) is not None), None)
    if channels is None:
        channels = np.empty((size, 0, 1))
    missing = ~np.isfinite(channels)
    counted = np.maximum((~missing).sum(axis=2), 1)
    gone = missing.all(axis=2)
    filled = np.where(missing, 0.0, channels)
    values = np.where(gone, np.nan, filled.sum(axis=2) / counted)
    squares = np.where(gone, np.nan, np.square(filled).sum(axis=2) / counted)
    members, masks = _members(target, task, size)
    return Examples(
        form_of(batch),
        tuple((str(one.dtype), one.shape[1:]) for one in arrays),
        ("", ()) if target is None else (str(target.dtype), target.shape[1:]),
        values,
        squares,
        np.asarray(missing.any(axis=2)),
        members,
        _by_label(values, filled, members, masks),
        _targets(target, task, size),
        _hashes(arrays, size, salt),
    )


def _split(batch: object) -> tuple[list[npt.NDArray[np.generic]], npt.NDArray[np.generic] | None]:
    """Return the arrays of inputs with an entry for each example, and that of the labels."""
    target: object = None
    if isinstance(batch, Mapping):
        key = next((key for key in _TARGETS if key in batch), None)
        target = None if key is None else batch[key]
        inputs = [one for name, one in batch.items() if name != key]
    elif isinstance(batch, tuple | list) and len(batch) > 1:
        first, target = batch[0], batch[1]
        inputs = list(first.values()) if isinstance(first, Mapping) else [first]
    else:
        inputs = [batch]
    arrays = [array for one in inputs if (array := _numbers(one)) is not None]
    arrays = [one for one in arrays if len(one) == len(arrays[0])]
    labels = _numbers(target)
    fits = labels is not None and bool(arrays) and len(labels) == len(arrays[0])
    return arrays, labels if fits else None


def _numbers(value: object) -> npt.NDArray[np.generic] | None:
    """Return an array of numbers with at least one axis; None for anything else."""
    if value is None or isinstance(value, str | bytes | Mapping):
        return None
    array = as_array(value)
    if array is not None and not array.ndim:
        return None
    return array if array is not None and array.dtype.kind in "biuf" and array.size else None


def _by_channel(array: npt.NDArray[np.generic]) -> Numbers | None:
    """Return inputs as (N, C, values); None where they are no measurements.

    Whole numbers in a table may be words of a text, whose mean says nothing.
    """
    if array.dtype.kind != "f" and not (array.ndim > 2 and array.dtype.kind in "iu"):
        return None
    if array.ndim == 1:
        return array.astype(np.float64)[:, None, None]
    if array.ndim == 2:
        return array[:, :CHANNELS].astype(np.float64)[:, :, None]
    if array.shape[1] > _MOST_CHANNELS:
        last = array.shape[-1] <= _MOST_CHANNELS
        array = np.moveaxis(array, -1, 1) if last else array[:, None]
    return array.astype(np.float64).reshape(*array.shape[:2], -1)


def _members(
    target: npt.NDArray[np.generic] | None, task: Task, size: int
) -> tuple[Numbers, npt.NDArray[np.generic] | None]:
    """Return which labels each example has, and masks of shape (N, values) where there are."""
    none = np.empty((size, 0))
    if target is None:
        return none, None
    flat = target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target
    numbers = np.arange(task.size)
    if task.name == "classification" and flat.ndim == 1:
        return (flat[:, None] == numbers).astype(np.float64), None
    if task.name == "multilabel" and flat.ndim == 2 and flat.shape[1] == task.size:
        known = np.isin(flat, (0, 1))
        return np.where(known, flat, np.nan).astype(np.float64), None
    if task.name == "segmentation" and flat.ndim > 2 and flat.dtype.kind in "biu":
        masks = flat.reshape(size, -1)
        return np.stack([(masks == k).any(axis=1) for k in numbers], 1).astype(np.float64), masks
    return none, None


def _by_label(
    values: Numbers, filled: Numbers, members: Numbers, masks: npt.NDArray[np.generic] | None
) -> Numbers:
    told = LABELLED // max(1, members.shape[1])  # channels
    values, filled = values[:, :told], filled[:, :told]
    if masks is None or masks.shape[1] != filled.shape[2]:
        here = members[:, :, None] == 1
        return np.where(here, values[:, None, :], np.nan)
    means = []
    for label in range(members.shape[1]):
        inside = masks == label
        sums = np.where(inside[:, None, :], filled, 0.0).sum(axis=2)
        counts = inside.sum(axis=1)[:, None]
        means.append(np.where(counts > 0, sums / np.maximum(counts, 1), np.nan))
    return np.stack(means, axis=1)


def _targets(target: npt.NDArray[np.generic] | None, task: Task, size: int) -> Numbers:
    if target is None or task.name not in ("regression", "survival") or target.ndim > 2:
        return np.empty((size, 0))
    return target.astype(np.float64).reshape(size, -1)[:, :CHANNELS]


def _hashes(arrays: list[npt.NDArray[np.generic]], size: int, salt: bytes) -> npt.NDArray[np.uint8]:
    """Hash each example's inputs, with their types and shapes."""
    heads = [f"{one.dtype} {one.shape[1:]};".encode() for one in arrays]
    found = bytearray()
    for place in range(size):
        digest = blake2b(key=salt, digest_size=_DIGEST)
        for head, array in zip(heads, arrays, strict=True):
            digest.update(head)
            digest.update(np.ascontiguousarray(array[place]).tobytes())
        found += digest.digest()
    return np.frombuffer(bytes(found), np.uint8).reshape(size, _DIGEST)
