"""What the author's ``test`` and ``predict`` return, read as labels, scores and numbers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federator.runtime.outcomes import Failure

if TYPE_CHECKING:
    import torch


def integers(labels: object) -> npt.NDArray[np.int64] | None:
    """Return labels as integers of shape (N,), or None if they are not class labels."""
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not np.array_equal(array, array.astype(np.int64)):
        return None
    return array.astype(np.int64)


def read_test(result: object) -> tuple[float, dict[str, float]]:
    """Return the loss, and further numbers, that the author's ``test`` returned.

    Raises:
        Failure: if it returned something else.
    """
    try:
        if isinstance(result, Mapping):
            numbers = {str(name): float(value) for name, value in result.items()}
            return numbers.pop("loss"), numbers
        if not isinstance(result, Sequence):
            raise TypeError
        return float(result[0]), {}  # (loss, accuracy): accuracy comes from counts
    except (TypeError, ValueError, LookupError):
        raise Failure("contract", "test") from None


def read_prediction(result: object) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return the labels (N,) and scores (N,) or (N, K) that the author's ``predict`` returned.

    Raises:
        Failure: if it returned something else.
    """
    try:
        if not isinstance(result, Sequence) or len(result) != 2:
            raise TypeError
        labels, scores = integers(result[0]), np.asarray(result[1], dtype=np.float64)
    except (TypeError, ValueError):
        raise Failure("contract", "predict") from None
    if labels is None or len(scores) != len(labels) or not np.isfinite(scores).all():
        raise Failure("contract", "predict")
    return labels, scores


def predict_logits(net: "torch.nn.Module", loader: object) -> tuple[object, object]:
    """Predict for a notebook without ``predict``: ``net(inputs)`` are logits."""
    import torch

    device = next(net.parameters()).device
    truth, scores = [], []
    with torch.no_grad():
        for inputs, labels in loader:  # type: ignore[attr-defined]
            logits = net(inputs.to(device)).float()
            one = logits.ndim == 1 or logits.shape[1] == 1
            scores.append((logits.reshape(-1).sigmoid() if one else logits.softmax(1)).cpu())
            truth.append(torch.as_tensor(labels).reshape(len(labels), -1)[:, 0])
    return torch.cat(truth).numpy(), torch.cat(scores).numpy()


def decide(
    scores: npt.NDArray[np.float64], classes: int, positive: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64] | None]:
    """Return the predicted labels, and the positive label's scores where there are two labels.

    Raises:
        ValueError: if the scores' shape does not fit the number of labels.
    """
    if scores.ndim == 1 and classes == 2 and positive is not None:
        return np.where(scores >= 0.5, positive, 1 - positive), scores
    if scores.ndim != 2 or scores.shape[1] != classes:
        raise ValueError(f"scores of shape {scores.shape} for {classes} labels")
    return scores.argmax(axis=1), None if positive is None else scores[:, positive]
