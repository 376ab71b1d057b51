"""Regression: sums of errors, and of predictions and truths by bin of the prediction."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import RANGE_BINS, middle
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.loaders import no_batch, too_few
from federator.runtime.worker.targets import form_of
from federator.runtime.worker.tasks.base import Counted, Reader
from federator.runtime.worker.tasks.model_outputs import first_outputs, outputs_of, split
from federator.runtime.worker.tasks.numbers import read_columns

if TYPE_CHECKING:
    import torch

TASK = "regression"
Numbers = npt.NDArray[np.float64]


class RegressionReader(Reader):
    """Sums errors of truths and predictions, of shape (N, T), or (N,) for one target."""

    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Accept batches of any form: targets may be scaled or mixed for training."""
        del loader
        return ()

    def check_batch(self, batch: object, part: str) -> None:
        """Check that a batch is a pair, with targets (N, T), or (N,) for one target."""
        self._truths(split(batch, TASK, part)[1], "targets", part)

    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Check that outputs are (N, T), or (N,) for one target."""
        given = first_outputs(net, batch, TASK, part)
        truths = self._truths(given.targets, "targets", part)
        self._predictions(given.outputs, min(len(truths), given.examples), "outputs", part)

    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Take the model's outputs as predictions."""
        truths, predictions = [], []
        for given in outputs_of(net, loader, TASK, part, number):
            truths.append(self._truths(given.targets, "targets", part))
            predictions.append(self._predictions(given.outputs, len(truths[-1]), "outputs", part))
        if not truths:
            raise no_batch(loader, part, 0)
        return self._count(np.concatenate(truths), np.concatenate(predictions), part)

    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count ``truths, predictions``."""
        del number
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise Failure(f"{TASK}-prediction", form_of(result))
        truths = self._truths(result[0], "predicted-targets", part)
        predictions = self._predictions(result[1], len(truths), "predictions", part)
        self.require_order(truths, predictions, loader, f"{TASK}-swapped", part)
        if told := too_few(len(truths), loader, part):
            return Counted({}, len(truths), (told,))
        if len(truths) > 1 and bool(
            (truths == truths[0]).all() and (predictions == predictions[0]).all()
        ):
            return Counted({}, len(truths), (Notice("all-one-value", part),))
        return self._count(truths, predictions, part)

    def _truths(self, value: object, reason: str, part: str) -> Numbers:
        found = read_columns(value, self.size, missing=True)
        if found.values is None:
            raise found.failure(f"{TASK}-{reason}", part, self.size)
        return found.values

    def _predictions(self, value: object, examples: int, reason: str, part: str) -> Numbers:
        found = read_columns(value, self.size, rows=examples)
        if found.values is None:
            raise found.failure(f"{TASK}-{reason}", part, self.size)
        return found.values

    def _count(self, truths: Numbers, predictions: Numbers, part: str) -> Counted:
        told = [Notice("unmeasured", part)] if bool(np.isnan(truths).any()) else []
        for k, span in enumerate(self.settings.ranges):
            if is_at_the_ends(truths[:, k], *span):
                told.append(Notice("range", part, "", k + 1))
        return Counted(count(truths, predictions, self.settings.ranges), len(truths), told)


def is_at_the_ends(truths: Numbers, low: float, high: float) -> bool:
    """Tell whether all truths lie in the first or the last bin of the plausible values, or beyond.

    They are likely scaled, or in another unit, then.

    Args:
        truths: of shape (N,); NaN where one was not measured.
        low: the smallest plausible value.
        high: the largest one.
    """
    measured, bin_width = truths[np.isfinite(truths)], (high - low) / RANGE_BINS
    outer = (measured < low + bin_width) | (measured >= high - bin_width)
    return len(measured) > 1 and bool(outer.all())


def count(truths: Numbers, predictions: Numbers, ranges: Sequence[tuple[float, float]]) -> Tables:
    """Sum errors over examples, of each target.

    A truth that is not a number (NaN) was not measured: this target leaves its example out.

    Args:
        truths: of shape (N, T).
        predictions: of shape (N, T), finite.
        ranges: the smallest and the largest plausible value of each target: a prediction outside
            of them counts in the first or the last bin.
    """
    tables: dict[str, Table] = {}
    for k, (low, high) in enumerate(ranges):
        measured = np.isfinite(truths[:, k])
        truth, prediction = truths[measured, k], predictions[measured, k]
        error = prediction - truth
        true, guessed = truth - middle(low, high), prediction - middle(low, high)
        sums = (
            abs(error), error**2, error, true, true**2, guessed, guessed**2, guessed * true,
        )  # fmt: skip
        tables[f"errors.{k}"] = [[len(truth), *(float(one.sum()) for one in sums)]]
        place = np.floor((prediction - low) / (high - low) * RANGE_BINS)
        bins = np.clip(place, 0, RANGE_BINS - 1).astype(np.int64)
        rows = [
            np.bincount(bins, weights, RANGE_BINS).tolist()
            for weights in (prediction, truth, error**2)
        ]
        tables[f"calibration.{k}"] = [np.bincount(bins, minlength=RANGE_BINS).tolist(), *rows]
    return tables
