"""Classification: one of K labels for each example, counted as a confusion matrix and scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.tables import Table
from federator.runtime.protocol.evaluation.tasks import SCORE_BINS
from federator.runtime.protocol.notices import Notice
from federator.runtime.worker.loaders import (
    batch_size,
    gives_only,
    has_two_labels,
    read_pair,
    too_few,
)
from federator.runtime.worker.outputs import Prediction, look_at_outputs, predict_logits
from federator.runtime.worker.predictions import compare_accuracy, decide, read_prediction
from federator.runtime.worker.tasks.base import Counted, Reader

if TYPE_CHECKING:
    import torch


class ClassificationReader(Reader):
    """Counts labels (N,) in 0..K-1 and scores (N, K), or (N,) of the positive one of two."""

    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Read the set until two labels were seen."""
        if has_two_labels(loader, "train", self.size, self.predicts):
            return ()
        return (Notice("single-label", "train"),)

    def check_batch(self, batch: object, part: str) -> None:
        """Check that labels are class numbers."""
        read_pair(batch, part, self.size)

    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Check that outputs are (N, K), or (N,) or (N, 1) for two labels."""
        look_at_outputs(net, batch, part, self.size)

    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Count by logits, or by probabilities where the model's last operation gives those."""
        return self._count(predict_logits(net, loader, part, self.size, number), part)

    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count labels and scores."""
        prediction = read_prediction(result, part, self.size, number)
        labels, scores = prediction.labels, prediction.scores
        self.require_order(labels, scores, loader, "swapped", part)
        counted = self._count(prediction, part)
        if told := self._made_up(prediction, loader, part):
            return Counted({}, counted.examples, (told,))
        if decided(scores):
            return counted._replace(notices=(*counted.notices, Notice("decided", part)))
        return counted

    def compare(
        self, accuracy: float, counted: Counted, loader: object, part: str
    ) -> Sequence[Notice]:
        """Compare with the share of right predictions, as far as batches of one size allow."""
        if "confusion" not in counted.tables:
            return ()
        size = batch_size(loader)
        notice = compare_accuracy(accuracy, counted.tables["confusion"], part, size)
        return () if notice is None else (notice,)

    def _count(self, prediction: Prediction, part: str) -> Counted:
        labels, positive = prediction.labels, self.settings.positive
        predicted, chances = decide(prediction.scores, positive)
        notices = list(prediction.notices)
        if len(set(labels.tolist())) == 1:
            notices.append(Notice("single-label", part))
        tables: dict[str, Table] = {"confusion": confusion(labels, predicted, self.size)}
        by_label = {positive: chances} if positive is not None else _by_label(prediction.scores)
        for label, scores in by_label.items():
            if scores is not None and bool(np.all((scores >= 0) & (scores <= 1))):
                tables[f"scores.{label}"] = histogram(labels == label, scores)
        return Counted(tables, len(labels), notices)

    def _made_up(self, prediction: Prediction, loader: object, part: str) -> Notice | None:
        """Tell if labels and scores of ``predict`` are none of the set's, so that nothing follows.

        They are fewer than the loader gives; or all the same, while the loader does not show that
        there is a single label: what is written for a task without class numbers looks like this.
        """
        labels, scores = prediction.labels, prediction.scores
        if told := too_few(len(labels), loader, part):
            return told
        same = len(labels) > 1 and bool((labels == labels[0]).all() and (scores == scores[0]).all())
        if same and not gives_only(loader, int(labels[0]), self.size):
            return Notice("all-the-same", part)
        return None


def confusion(
    labels: npt.NDArray[np.integer], predicted: npt.NDArray[np.integer], classes: int
) -> Table:
    """Count labels and predictions, both integers in 0..classes-1 of shape (N,).

    Returns:
        (classes, classes): rows the true label, columns the predicted one.

    Raises:
        ValueError: if the shapes differ or a label is out of range.
    """
    true, guess = np.asarray(labels), np.asarray(predicted)
    if true.ndim != 1 or true.shape != guess.shape:
        raise ValueError(f"labels of shape {true.shape}, predictions of shape {guess.shape}")
    if (
        true.size
        and not 0 <= min(true.min(), guess.min()) <= max(true.max(), guess.max()) < classes
    ):
        raise ValueError(f"a label or a prediction is not in 0..{classes - 1}")
    flat = np.bincount(true.astype(int) * classes + guess.astype(int), minlength=classes**2)
    rows: Table = flat.reshape(classes, classes).tolist()
    return rows


def histogram(
    present: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating], bins: int = SCORE_BINS
) -> Table:
    """Count scores in bins of equal width over 0..1.

    Args:
        present: (N,), whether an example has the label.
        scores: (N,), the label's scores.
        bins: their number.

    Returns:
        (2, bins): of the examples without the label, and of those with it.

    Raises:
        ValueError: if a score is not in 0..1 or not a number.
    """
    values = np.asarray(scores, dtype=float)
    if not bool(np.all((values >= 0) & (values <= 1))):
        raise ValueError("a score is not in 0..1")
    place = np.minimum((values * bins).astype(int), bins - 1)  # a score of 1 is in the last bin
    having = np.asarray(present, dtype=bool)
    counted = [np.bincount(place[one], minlength=bins) for one in (~having, having)]
    return [row.tolist() for row in counted]


def decided(scores: npt.NDArray[np.float64]) -> bool:
    """Tell whether scores are decisions, each of them 0 or 1."""
    return len(scores) > 1 and bool(np.isin(scores, (0, 1)).all())


def _by_label(scores: npt.NDArray[np.float64]) -> dict[int, npt.NDArray[np.float64]]:
    """Return the scores of each label by its number; none of a single column."""
    return {k: scores[:, k] for k in range(scores.shape[1])} if scores.ndim == 2 else {}
