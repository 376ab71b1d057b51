"""How a worker reads and counts one task: the interface that each task's module fills."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tables import Tables
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.loaders import is_swapped

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[np.generic]


class Counted(NamedTuple):
    """What a task's reader makes of a set.

    Attributes:
        tables: those of protocol/evaluation/tasks.py, at their finest; none if nothing follows
            from what came (then a notice says why).
        examples: how many examples were seen; None if the reader looks at none.
        notices: what there is to warn of.
    """

    tables: Tables
    examples: int | None
    notices: Sequence[Notice] = ()


class Reader(ABC):
    """Reads a task's batches, outputs and predictions, and counts them.

    All methods raise a Failure that names what was found, its shape and type, and what to write.

    Args:
        settings: of the evaluation.
        predicts: whether the notebook has a ``predict``, so that batches may have any form.
    """

    def __init__(self, settings: EvaluationSettings, predicts: bool) -> None:
        self.settings, self.predicts = settings, predicts
        self._in_order: set[str] = (
            set()
        )  # sets of which the order of predict's values was looked at

    @property
    def size(self) -> int:
        """Number of labels, classes or targets."""
        return self.settings.task.size

    @abstractmethod
    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Check the training set's batches, or those at its beginning; warn of what they lack."""

    @abstractmethod
    def check_batch(self, batch: object, part: str) -> None:
        """Check the labels of a batch, where there is no ``predict``.

        Args:
            batch: as the loader gives it; None where it gives none.
            part: which set, ``train``, ``val`` or ``test``.
        """

    @abstractmethod
    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Check the model's outputs on a few examples of a batch, where there is no ``predict``."""

    @abstractmethod
    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Count a set by the model's outputs.

        Args:
            net: in evaluation mode.
            loader: of the set.
            part: which set.
            number: the round.
        """

    @abstractmethod
    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count a set by what the author's ``predict`` returned."""

    def require_order(
        self, first: Array, second: Array, loader: object, reason: str, part: str
    ) -> None:
        """Check, once for each set, that predict returned what is true first.

        Args:
            first: what it returned as true, of shape (N, ...).
            second: what it returned as predicted, of shape (N, ...).
            loader: of the set.
            reason: of the failure.
            part: which set.

        Raises:
            Failure: if the second is what the loader gives as true, and the first is not.
        """
        if part in self._in_order:
            return
        self._in_order.add(part)
        if is_swapped(first, second, loader):
            raise Failure(reason, set=part)

    def compare(
        self, accuracy: float, counted: Counted, loader: object, part: str
    ) -> Sequence[Notice]:
        """Warn if the accuracy that ``test`` returned is not that of the counts."""
        del accuracy, counted, loader, part
        return ()
