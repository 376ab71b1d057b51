"""Regression: sums of errors, and of predictions and truths by bin of the prediction."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import RANGE_BINS

Numbers = npt.NDArray[np.float64]


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
        sums = (
            abs(error), error**2, error, truth, truth**2, prediction, prediction**2,
            prediction * truth,
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
