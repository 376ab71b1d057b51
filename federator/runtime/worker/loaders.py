"""A site's loaders: whether they can be read again and again, and what their batches hold."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.labels import OUTSIDE
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.targets import form_of, read_numbers, read_target

_FEW = 4  # numbers: fewer may be equal by chance


def require_batches(loader: object, part: str, examples: int) -> None:
    """Check that a loader can be read more than once, and says that there is a batch.

    Args:
        loader: of the set.
        part: which set, ``train``, ``val`` or ``test``.
        examples: how many there are in it, as ``load_data`` says.

    Raises:
        Failure: if it is not so.
    """
    if isinstance(loader, Iterator):
        raise Failure("once", set=part)
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise Failure("contract", "load_data")
    if length(loader) == 0:
        raise no_batch(loader, part, examples)


def no_batch(loader: object, part: str, examples: int) -> Failure:
    """Return the failure that tells of a loader without a batch."""
    size = batch_size(loader)
    if size is not None and getattr(loader, "drop_last", False):
        return Failure("no-batch", set=part, shape=(size,), count=examples)
    return Failure("no-batch-at-all", set=part, count=examples)


def read_pair(batch: object, part: str, classes: int) -> tuple[object, npt.NDArray[np.int64]]:
    """Return the inputs and the class numbers, of shape (N,), of a batch.

    Raises:
        Failure: if it is no pair, or its labels are something else: what, and of which shape.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise Failure("batches", form_of(batch), set=part)
    target = read_target(batch[1], classes)
    if target.classes is None:
        reason = "labels" if target.form == OUTSIDE else "targets"
        shape = target.shape[:5]
        raise Failure(reason, target.form, set=part, dtype=target.dtype, shape=shape, count=classes)
    return batch[0], target.classes


def labels_in(batch: object, classes: int) -> npt.NDArray[np.int64] | None:
    """Return the class numbers of a batch; None where it is no pair of inputs and such."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        return None
    return read_target(batch[1], classes).classes


def has_two_labels(loader: object, part: str, classes: int, own: bool) -> bool:
    """Read a loader until two labels were seen; where labels cannot be told, they may be there.

    Args:
        loader: of the set.
        part: which set.
        classes: how many labels K there are.
        own: whether the author's ``predict`` says what the labels are, so that batches may have
            any form.

    Raises:
        Failure: as :func:`read_pair`, unless ``own``; or if there is no batch.
    """
    seen: set[int] = set()
    batches = 0
    for batch in loader:  # type: ignore[attr-defined]
        batches += 1
        labels = labels_in(batch, classes) if own else read_pair(batch, part, classes)[1]
        if labels is None:
            return True
        seen.update(labels.tolist())
        if len(seen) > 1:
            return True
    if not batches:
        raise no_batch(loader, part, 0)
    return False


class Drawn(NamedTuple):
    """What a loader gave when it was read through.

    Attributes:
        counts: examples of each label; None where they cannot be told.
        sizes: what ``load_data`` may rightly say of the number of examples; empty if any number.
        sampled: whether a sampler draws them as it wants.
    """

    counts: list[int] | None
    sizes: frozenset[int]
    sampled: bool


def draw(loader: object, classes: int) -> Drawn:
    """Read a loader through and count its labels."""
    counts = [0] * classes
    sizes = {length(getattr(loader, name, None)) for name in ("dataset", "sampler")}
    known = frozenset(size for size in sizes if size is not None)
    for batch in loader:  # type: ignore[attr-defined]
        labels = labels_in(batch, classes)
        if labels is None:
            return Drawn(None, known, is_sampled(loader))
        for label in labels.tolist():
            counts[label] += 1
    return Drawn(counts, known | {sum(counts)}, is_sampled(loader))


def gives_only(loader: object, label: int, classes: int) -> bool:
    """Tell whether a loader's batches are pairs, and the label of each example is this one."""
    for batch in loader:  # type: ignore[attr-defined]
        labels = labels_in(batch, classes)
        if labels is None or not bool((labels == label).all()):
            return False
    return True


def is_swapped(
    first: npt.NDArray[np.generic], second: npt.NDArray[np.generic], loader: object
) -> bool:
    """Tell whether ``predict`` returned in the second place what a loader gives as targets.

    It is looked for in the first batches, of a loader that gives its examples in order, and must
    be there to the digit, where what ``predict`` returned in the first place is not.

    Args:
        first: what it returned as true, of shape (N, ...).
        second: what it returned as predicted, of shape (N, ...).
        loader: of the set.
    """
    given = list(_targets_in_order(loader))
    return any(_begins(second, one) for one in given) and not any(
        _begins(first, one) for one in given
    )


def _targets_in_order(loader: object) -> Iterator[npt.NDArray[np.generic]]:
    """Yield what may be targets in a loader's first batches: all but the inputs, and columns."""
    ordered = batch_size(loader) is not None and is_in_order(loader)
    if not ordered and not isinstance(loader, tuple | list):
        return
    columns: list[list[npt.NDArray[np.generic]]] = []
    for batch in loader:  # type: ignore[attr-defined]
        arrays = [read_numbers(value) for value in _but_inputs(batch)]
        columns.append([one for one in arrays if isinstance(one, np.ndarray) and one.ndim])
        if not columns[-1] or sum(one[0].size for one in columns) >= _FEW:
            break
    for several in zip(*columns, strict=False):
        if len({one.shape[1:] for one in several}) == 1:
            array = np.concatenate(several)
            yield array
            if array.ndim == 2 and array.shape[1] > 1:  # such as times beside events
                yield from array.T


def _but_inputs(batch: object) -> list[object]:
    if isinstance(batch, Mapping):
        return list(batch.values())
    return list(batch[1:]) if isinstance(batch, tuple | list) else []


def _begins(values: npt.NDArray[np.generic], given: npt.NDArray[np.generic]) -> bool:
    """Tell whether values begin with the given ones, in whichever shape; not if they are few."""
    count = min(len(values), len(given))
    here, there = values[:count], given[:count]
    return here.size == there.size >= _FEW and np.array_equal(here.reshape(-1), there.reshape(-1))


def examples_given(loader: object) -> int | None:
    """Return how many examples a ``DataLoader`` gives when it is read once; None if unknown."""
    size, examples = batch_size(loader), length(getattr(loader, "sampler", None))
    if size is None or examples is None:
        return None
    return examples - examples % size if getattr(loader, "drop_last", False) else examples


def too_few(count: int, loader: object, part: str) -> Notice | None:
    """Warn if ``predict`` returned fewer examples than the loader gives: nothing follows then."""
    given = examples_given(loader)
    if given is None or count >= given:
        return None
    return Notice("too-few-labels", part, "", count, given)


def batch_size(loader: object) -> int | None:
    """Return the size of a loader's batches, if it says so."""
    size = getattr(loader, "batch_size", None)
    return size if type(size) is int and size > 0 else None


def length(of: object) -> int | None:
    """Return how many there are of something, if it says so."""
    try:
        return len(of)  # type: ignore[arg-type]
    except (TypeError, NotImplementedError, AttributeError):
        return None


def is_sampled(loader: object) -> bool:
    """Tell whether a sampler of the author's chooses the examples, some of them twice or never."""
    name = type(getattr(loader, "sampler", None)).__name__
    return name not in ("NoneType", "SequentialSampler", "RandomSampler")


def is_in_order(loader: object) -> bool:
    """Tell whether a loader gives a set's examples in their order, each time."""
    return type(getattr(loader, "sampler", None)).__name__ == "SequentialSampler"


def has_lone_example(loader: object) -> bool:
    """Tell whether a loader's last batch holds one example where the others hold more."""
    size, examples = batch_size(loader), length(getattr(loader, "sampler", None))
    if size is None or examples is None or getattr(loader, "drop_last", False):
        return False
    return size > 1 and examples % size == 1


def is_plain_pair(batch: object) -> bool:
    """Tell whether a batch is a pair whose inputs are one tensor."""
    return isinstance(batch, tuple | list) and len(batch) == 2 and hasattr(batch[0], "shape")


def require_tensor(inputs: object, part: str) -> None:
    """Check that a batch's inputs are something that moves to a device as one.

    Raises:
        Failure: if they are a dictionary, a tuple or anything else: it takes a ``predict``.
    """
    if isinstance(inputs, Mapping) or not hasattr(inputs, "to"):
        raise Failure("inputs", form_of(inputs), set=part)
