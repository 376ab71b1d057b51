"""How a model does on one set of a site: the author's numbers, and counts of labels and scores."""

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from federator.runtime.protocol import metrics
from federator.runtime.protocol.evaluation.labels import Labels
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Evaluation, Failure, Scores
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.loaders import batch_size, examples_given, gives_only
from federator.runtime.worker.outputs import Prediction, predict_logits
from federator.runtime.worker.predictions import (
    compare_accuracy,
    decide,
    read_prediction,
    read_test,
)

if TYPE_CHECKING:
    import torch

_BINS = 64


class Evaluator:
    """Evaluates with the author's ``test``, and ``predict`` where there is one.

    Args:
        module: the author's.
        labels: those of the federation file.
        declared: the metrics that it declares.
    """

    def __init__(self, module: ModuleType, labels: Labels, declared: frozenset[str]) -> None:
        self._module, self._labels, self._declared = module, labels, declared

    @property
    def classes(self) -> int:
        """The number of labels K."""
        return len(self._labels.names)

    @property
    def predicts(self) -> bool:
        """Whether the notebook has a ``predict``, which says what the labels are."""
        return hasattr(self._module, "predict")

    def evaluate(
        self, net: "torch.nn.Module", loader: object, part: str, examples: int, number: int
    ) -> tuple[Evaluation, tuple[Notice, ...]]:
        """Evaluate a model on one set; return what there is to warn of, too.

        Args:
            net: the model.
            loader: of the set.
            part: which set, ``train``, ``val`` or ``test``.
            examples: how many there are in it, as ``load_data`` says.
            number: the round.

        Raises:
            Failure: if the author's parts return something else than they must.
        """
        net.eval()
        with reporting_failures(part="test"):
            result = self._module.test(net, loader)
        tested = read_test(result, self._declared, part, number)
        net.eval()
        prediction = self._predict(net, loader, part, number)
        notices = [*tested.notices, *prediction.notices]
        compared = self._compare(prediction, part, examples)
        if self.predicts and (told := self._made_up(prediction, loader, part)):
            # The loss and the declared metrics are the author's own, and stay.
            counts = [[0] * self.classes for _ in range(self.classes)]
            return Evaluation(counts, tested.loss, examples, tested.metrics), (*notices, told)
        notices += compared
        predicted, chances = decide(prediction.scores, self._labels.positive)
        counts = metrics.confusion(prediction.labels, predicted, self.classes)
        if tested.accuracy is not None:
            size = batch_size(loader)
            notice = compare_accuracy(tested.accuracy, counts, part, size)
            notices += [] if notice is None else [notice]
        binned: Scores | None = None
        if chances is not None and np.all((chances >= 0) & (chances <= 1)):
            binned = {
                "bins": _BINS,
                "counts": metrics.histogram(prediction.labels, chances, _BINS),
            }
        seen = len(prediction.labels)
        return Evaluation(counts, tested.loss, seen, tested.metrics, binned), tuple(notices)

    def _predict(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Prediction:
        if not self.predicts:
            return predict_logits(net, loader, part, self.classes, number)
        with reporting_failures(part="predict"):
            result = self._module.predict(net, loader)
        return read_prediction(result, part, self.classes, number)

    def _made_up(self, prediction: Prediction, loader: object, part: str) -> Notice | None:
        """Tell if labels and scores of ``predict`` are none of the set's, so that nothing follows.

        They are fewer than the loader gives; or all the same, while the loader does not show that
        there is a single label: what is written for a task without class numbers looks like this.
        """
        labels, scores = prediction.labels, prediction.scores
        given = examples_given(loader)
        if given is not None and len(labels) < given:
            return Notice("too-few-labels", part, "", len(labels), given)
        same = len(labels) > 1 and bool((labels == labels[0]).all() and (scores == scores[0]).all())
        if same and not gives_only(loader, int(labels[0]), self.classes):
            return Notice("all-the-same", part)
        return None

    def _compare(self, prediction: Prediction, part: str, examples: int) -> list[Notice]:
        """Compare the labels with the set's size; warn of what they leave undefined."""
        found = len(prediction.labels)
        if found > examples or not found:
            reason = "amount" if self.predicts else "loader-amount"
            raise Failure(reason, set=part, shape=(found,), count=examples)
        notices = []
        if found < examples:
            notices.append(Notice("fewer", part, "", found, examples))
        if len(set(prediction.labels.tolist())) == 1:
            notices.append(Notice("single-label", part))
        return notices
