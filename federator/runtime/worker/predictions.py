"""What the author's ``test`` and ``predict`` return, read as labels, scores and numbers."""

from collections.abc import Collection, Mapping, Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.labels import OUTSIDE
from federator.runtime.protocol.evaluation.tables import LARGEST
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.outputs import Prediction
from federator.runtime.worker.targets import as_array, form_of, read_target


class Tested(NamedTuple):
    """What the author's ``test`` says.

    Attributes:
        loss: a finite number.
        accuracy: in 0..1; None where it says none.
        metrics: the declared ones among its numbers, all finite.
        notices: of those that are not.
    """

    loss: float
    accuracy: float | None
    metrics: dict[str, float]
    notices: tuple[Notice, ...] = ()


def read_test(result: object, declared: Collection[str], part: str, number: int = 0) -> Tested:
    """Read what the author's ``test`` returned: ``loss, accuracy``, or a dictionary with ``loss``.

    Args:
        result: what it returned.
        declared: the metrics that the federation file declares; no others are looked at.
        part: which set, ``train``, ``val`` or ``test``.
        number: the round.

    Raises:
        Failure: if it returned something else, or a loss that is not finite.
    """
    if isinstance(result, Mapping):
        numbers = {str(name): value for name, value in result.items()}
        if "loss" not in numbers:
            raise Failure("test", "a dictionary without `loss`")
    elif isinstance(result, Sequence) and not isinstance(result, str | bytes):
        if not result:
            raise Failure("test", "an empty tuple")
        numbers = dict(zip(("loss", "accuracy"), result, strict=False))
    else:
        alone = read_number(result) is not None
        raise Failure("test", "a single number" if alone else form_of(result))
    loss = read_number(numbers["loss"])
    if loss is None:
        raise Failure("test", "a loss that is not a single number")
    if not isfinite(loss):
        raise Failure("loss", set=part, count=number)
    metrics, notices = _metrics(numbers, declared, part)
    return Tested(loss, _accuracy(numbers), metrics, notices)


def _metrics(
    numbers: Mapping[str, object], declared: Collection[str], part: str
) -> tuple[dict[str, float], tuple[Notice, ...]]:
    found, notices = {}, []
    for name in sorted(declared):
        value = read_number(numbers.get(name))
        if value is not None and abs(value) <= LARGEST:  # which infinity and NaN are not
            found[name] = value
            continue
        code = "metric-missing" if name not in numbers else "metric-not-number"
        notices.append(Notice("metric-not-finite" if value is not None else code, part, name))
    return found, tuple(notices)


def _accuracy(numbers: Mapping[str, object]) -> float | None:
    """Return the accuracy that is among the numbers, as a share also where it is a percentage."""
    for name, value in numbers.items():
        if name.lower() in ("accuracy", "acc"):
            said = read_number(value)
            if said is None or not 0 <= said <= 100:
                return None
            return said if said <= 1 else said / 100
    return None


def read_number(value: object) -> float | None:
    """Return a number, or a tensor or array of one element, as a float; None for anything else."""
    if value is None or isinstance(value, str | bytes | Mapping):
        return None
    array = as_array(value)
    if array is None or array.size != 1 or array.dtype.kind not in "biuf":
        return None
    return None if isinstance(value, tuple | list) else float(array.reshape(())[()])


def read_prediction(result: object, part: str, classes: int, number: int = 0) -> Prediction:
    """Return the labels (N,) and scores (N,) or (N, K) that the author's ``predict`` returned.

    Raises:
        Failure: if it returned something else: what, and of which shape.
    """
    if not isinstance(result, Sequence) or isinstance(result, str) or len(result) != 2:
        raise Failure("prediction", form_of(result))
    target = read_target(result[0], classes)
    if target.classes is None:
        reason = "labels" if target.form == OUTSIDE else "predicted-targets"
        shape = target.shape[:5]
        raise Failure(reason, target.form, set=part, dtype=target.dtype, shape=shape, count=classes)
    scores = as_array(result[1])
    if scores is None or scores.dtype.kind not in "biuf":
        raise Failure("scores", set=part, count=classes)
    if scores.ndim == 2 and scores.shape[1] == 1:
        scores = scores[:, 0]
    shaped = scores.shape[1:] == (classes,) or (scores.ndim == 1 and classes == 2)
    if not shaped or len(scores) != len(target.classes):
        dtype, shape = str(scores.dtype), scores.shape[:5]
        raise Failure("scores", set=part, dtype=dtype, shape=shape, count=classes)
    values = scores.astype(np.float64)
    if not np.isfinite(values).all():
        raise Failure("scores-not-finite", set=part, count=number)
    if values.ndim == 1 and not ((values >= 0) & (values <= 1)).all():
        raise Failure("scores-range", set=part, count=classes)
    return Prediction(target.classes, values)


def decide(
    scores: npt.NDArray[np.float64], positive: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
    """Return the predicted labels, and the positive label's scores where there are two labels.

    Args:
        scores: of shape (N, K), or (N,) of the positive one of two labels.
        positive: its number; None where there are more than two.
    """
    if scores.ndim == 1 and positive is not None:
        return np.where(scores >= 0.5, positive, 1 - positive), scores
    return scores.argmax(axis=1), None if positive is None else scores[:, positive]


def compare_accuracy(
    said: float, counts: Sequence[Sequence[float]], part: str, size: int | None
) -> Notice | None:
    """Warn if the accuracy that ``test`` returned is not that of the counts.

    It may be rounded, or off by one example (a tie); or a mean over batches, in which an example
    of a short last batch weighs more than others. The latter lies, whichever examples are in
    that batch, between the two values that it has with as few and as many right ones as can be.

    Args:
        said: in 0..1.
        counts: the confusion matrix, of shape (K, K).
        part: which set.
        size: of the batches; None if unknown, then they count as one.
    """
    total = int(sum(map(sum, counts)))
    right = int(sum(row[k] for k, row in enumerate(counts)))
    if not total:
        return None
    size = min(size or total, total)
    short = total % size or size
    batches = -(-total // size)
    ends = []
    for in_short in (min(short, right), max(0, right - (total - short))):
        ends.append((in_short / short + (right - in_short) / size) / batches)
    slack = max(0.0051, 1.01 / total)
    low, high = min(*ends, right / total), max(*ends, right / total)
    if low - slack <= said <= high + slack:
        return None
    return Notice("accuracy", part, "", round(said, 3), round(right / total, 3))
