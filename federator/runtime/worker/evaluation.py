"""How a model does on one set of a site: the author's numbers, and tables of counts."""

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import TaskName
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import REASONS, Evaluation, Failure
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.predictions import read_test
from federator.runtime.worker.state import buffers_kept
from federator.runtime.worker.tasks.base import Counted, Reader
from federator.runtime.worker.tasks.classification import ClassificationReader
from federator.runtime.worker.tasks.multilabel import MultilabelReader
from federator.runtime.worker.tasks.other import OtherReader
from federator.runtime.worker.tasks.regression import RegressionReader
from federator.runtime.worker.tasks.segmentation import SegmentationReader
from federator.runtime.worker.tasks.survival import SurvivalReader

if TYPE_CHECKING:
    import torch

READERS: Mapping[TaskName, type[Reader]] = {
    "classification": ClassificationReader,
    "multilabel": MultilabelReader,
    "segmentation": SegmentationReader,
    "other": OtherReader,
    "regression": RegressionReader,
    "survival": SurvivalReader,
}

# Of values of predict from which nothing follows: the model's outputs may give figures yet.
_MADE_UP = frozenset({"all-the-same", "all-one-value"})


class Evaluator:
    """Evaluates with the author's ``test``, and ``predict`` where there is one.

    Args:
        module: the author's.
        settings: what is evaluated.
    """

    def __init__(self, module: ModuleType, settings: EvaluationSettings) -> None:
        self._module = module
        self._declared = frozenset(settings.metrics)
        self.reader = READERS[settings.task.name](settings, hasattr(module, "predict"))

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
        with buffers_kept(net) as by_test, reporting_failures(part="test"):
            result = self._module.test(net, loader)
        tested = read_test(result, self._declared, part, number)
        net.eval()
        with buffers_kept(net) as by_predict:
            counted = self._count(net, loader, part, number)
        notices = [*tested.notices, *counted.notices]
        if by_test or by_predict:
            notices.append(Notice("buffers", part))
        if (seen := counted.examples) is not None:
            notices += self._compare_size(seen, part, examples, bool(counted.tables))
        if tested.accuracy is not None:
            notices += self.reader.compare(tested.accuracy, counted, loader, part)
        size = seen if counted.tables and seen else examples
        return Evaluation(counted.tables, tested.loss, size, tested.metrics), tuple(notices)

    def _count(self, net: "torch.nn.Module", loader: object, part: str, number: int) -> Counted:
        if not self.reader.predicts:
            return self.reader.from_outputs(net, loader, part, number)
        with reporting_failures(part="predict"):  # which may be a generator
            result = self._module.predict(net, loader)
            counted = self.reader.from_predict(result, loader, part, number)
        if not {notice.code for notice in counted.notices} & _MADE_UP:
            return counted
        try:
            by_outputs = self.reader.from_outputs(net, loader, part, number)
        except Failure:  # of batches or outputs that are none of the task's
            return counted
        return by_outputs._replace(notices=(*by_outputs.notices, Notice("made-up", part)))

    def _compare_size(self, found: int, part: str, examples: int, counted: bool) -> list[Notice]:
        """Compare the number of examples that were seen with the set's size; warn if counted."""
        if found > examples or not found:
            reason = "amount" if self.reader.predicts else "loader-amount"
            own = f"{self.reader.settings.task.name}-{reason}"
            reason = own if own in REASONS else reason
            raise Failure(reason, set=part, shape=(found,), count=examples)
        fewer = counted and found < examples
        return [Notice("fewer", part, "", found, examples)] if fewer else []
