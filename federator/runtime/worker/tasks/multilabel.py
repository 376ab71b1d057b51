"""Multi-label: each of K labels is counted by itself, over the examples labelled for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from federator.runtime.protocol.evaluation.labels import NOT_BINARY, NOT_PROBABILITIES
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.loaders import no_batch, too_few
from federator.runtime.worker.outputs import probabilities
from federator.runtime.worker.targets import form_of
from federator.runtime.worker.tasks.base import Counted, Reader
from federator.runtime.worker.tasks.classification import confusion, decided, histogram
from federator.runtime.worker.tasks.model_outputs import first_outputs, outputs_of, split
from federator.runtime.worker.tasks.numbers import Array, Columns, refused, shaped

if TYPE_CHECKING:
    import torch

TASK = "multilabel"


class MultilabelReader(Reader):
    """Counts targets (N, K) of 0 and 1, and scores (N, K) in 0..1."""

    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Accept batches of any form: targets may be mixed or smoothed for training."""
        del loader
        return ()

    def check_batch(self, batch: object, part: str) -> None:
        """Check that a batch is a pair, with targets (N, K) of 0 and 1."""
        self._targets(split(batch, TASK, part)[1], "targets", part)

    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Check that outputs are (N, K)."""
        given = first_outputs(net, batch, TASK, part)
        targets = self._targets(given.targets, "targets", part)
        self._require_shape(given.outputs, min(len(targets), given.examples), part)

    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Count by logits, or by probabilities where the model's last operation gives those."""
        import torch

        truth, found, last = [], [], ""
        for given in outputs_of(net, loader, TASK, part, number):
            targets = self._targets(given.targets, "targets", part)
            self._require_shape(given.outputs, len(targets), part)
            truth.append(targets)
            found.append(given.outputs.float().cpu())
            last = given.last
        if not found:
            raise no_batch(loader, part, 0)
        outputs = torch.cat(found)
        chances, code = probabilities(outputs.reshape(-1), last)
        scores = chances[:, 1].reshape(outputs.shape).double().numpy()
        # Outputs are probabilities in each set, so it is told once.
        notices = [Notice(code, "" if code == "probabilities" else part)] if code else []
        return self._count(np.concatenate(truth), scores, part, notices)

    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count ``targets, scores``."""
        del number
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Failure(f"{TASK}-prediction", form_of(result))
        targets = self._targets(result[0], "predicted-targets", part)
        scored = read_scores(result[1], targets)
        if scored.values is None:
            raise scored.failure(f"{TASK}-scores", part, self.size)
        self.require_order(targets, scored.values, loader, f"{TASK}-swapped", part)
        if told := too_few(len(targets), loader, part):
            return Counted({}, len(targets), (told,))
        notices = [Notice("decided", part)] if decided(scored.values) else []
        return self._count(targets, scored.values, part, notices)

    def _targets(self, value: object, reason: str, part: str) -> Array:
        found = read_targets(value, self.size)
        if found.values is None:
            raise found.failure(f"{TASK}-{reason}", part, self.size)
        return found.values

    def _require_shape(self, outputs: "torch.Tensor", examples: int, part: str) -> None:
        if tuple(outputs.shape) != (examples, self.size):
            dtype = str(outputs.dtype).removeprefix("torch.")
            shape = tuple(outputs.shape)[:5]
            raise Failure(f"{TASK}-outputs", set=part, dtype=dtype, shape=shape, count=self.size)

    def _count(self, targets: Array, scores: Array, part: str, notices: list[Notice]) -> Counted:
        tables = count(targets, scores)
        undefined = sum(0 in map(sum, tables[f"confusion.{k}"]) for k in range(self.size))
        if undefined:
            notices.append(Notice("labels-undefined", part, "", undefined, self.size))
        return Counted(tables, len(targets), notices)


def count(targets: Array, scores: Array) -> Tables:
    """Count each label over the examples that are labelled for it.

    Args:
        targets: (N, K): 0, 1, or NaN where an example is not labelled.
        scores: (N, K), in 0..1 where it is; a label is predicted from 0.5.

    Returns:
        ``confusion.k`` and ``scores.k`` for each label, as protocol/evaluation/tasks.py has them.
    """
    tables: dict[str, Table] = {}
    for k in range(targets.shape[1]):
        known = ~np.isnan(targets[:, k])
        truth, score = targets[known, k].astype(np.int64), scores[known, k]
        tables[f"confusion.{k}"] = confusion(truth, (score >= 0.5).astype(np.int64), 2)
        tables[f"scores.{k}"] = histogram(truth == 1, score)
    return tables


def read_targets(value: object, size: int) -> Columns:
    """Return targets (N, K) of 0, 1 and, for -1 and NaN, NaN; of one label, (N,) will do."""
    targets = shaped(value, size, None, NOT_BINARY)
    if isinstance(targets, Columns):
        return targets
    targets[targets == -1] = np.nan
    if not bool(np.all(np.isnan(targets) | (targets == 0) | (targets == 1))):
        return refused(value, NOT_BINARY)
    return Columns(targets)


def read_scores(value: object, targets: Array) -> Columns:
    """Return scores in the shape of the targets, in 0..1 where these are known."""
    scores = shaped(value, targets.shape[1], len(targets), NOT_PROBABILITIES)
    if isinstance(scores, Columns):
        return scores
    inside = np.isnan(targets) | ((scores >= 0) & (scores <= 1))
    return Columns(scores) if bool(np.all(inside)) else refused(value, NOT_PROBABILITIES)
