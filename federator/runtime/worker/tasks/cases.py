"""The sums over the cases of a segmentation: voxels, overlap and distances of each class."""

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.evaluation.settings import Surfaces
from federator.runtime.protocol.evaluation.tables import Table, Tables
from federator.runtime.protocol.evaluation.tasks import (
    DICE_BINS,
    DISTANCE_BINS,
    OVERLAP_SUMS,
    SURFACE_SUMS,
)
from federator.runtime.worker.tasks.surfaces import hausdorff95

Classes = npt.NDArray[np.integer]
Spacing = tuple[float, ...] | None
_SLAB = 2**20  # voxels counted at once: their class numbers take 8 MB each


class Cases:
    """The sums over cases, each added once and kept no longer.

    Args:
        classes: their number K, with the background.
        surfaces: whether the classes' surfaces are compared, but the background's, and how far.
    """

    def __init__(self, classes: int, surfaces: Surfaces | None = None) -> None:
        self.count = 0
        """How many cases were added."""
        self._voxels = np.zeros((classes, 4), np.int64)
        self._overlap = np.zeros((classes, len(OVERLAP_SUMS) - 1))
        self._histogram = np.zeros((classes, DICE_BINS), np.int64)
        self._surfaces = surfaces
        self._hd95 = np.zeros((classes, len(SURFACE_SUMS) - 1))
        self._distances = np.zeros((classes, DISTANCE_BINS), np.int64)

    def add(self, mask: Classes, predicted: Classes, spacing: Spacing = None) -> None:
        """Add a case: two arrays of one shape, of class numbers 0..K-1.

        A class's Dice coefficient is 2 TP / (2 TP + FP + FN) (Dice, Ecology 1945;26:297), its
        IoU TP / (TP + FP + FN) (Jaccard, New Phytologist 1912;11:37). A case in which the class
        is neither drawn nor predicted counts for none of its figures; where it is only drawn, or
        only predicted, its Dice coefficient is 0, and its HD95 the largest that is told apart.

        Args:
            mask: drawn.
            predicted: predicted.
            spacing: of voxels along each axis; None where one voxel is the unit.
        """
        self.count += 1
        matrix = count_voxels(mask, predicted, len(self._voxels))
        right, drawn, found = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
        for k in np.flatnonzero(drawn + found):
            both, either = int(right[k]), int(drawn[k] + found[k] - right[k])
            dice, iou = 2 * both / (both + either), both / either
            self._voxels[k] += (1, both, found[k] - both, drawn[k] - both)
            self._overlap[k] += (dice, dice**2, iou, iou**2)
            self._histogram[k, min(int(dice * DICE_BINS), DICE_BINS - 1)] += 1
            if self._surfaces and k:
                limit = self._surfaces.limit
                hd95 = hausdorff95(mask == k, predicted == k, spacing, limit)
                self._hd95[k] += (hd95, hd95**2)
                place = int(hd95 / limit * DISTANCE_BINS)
                self._distances[k, min(place, DISTANCE_BINS - 1)] += 1

    def tables(self) -> Tables:
        """Return the tables of each class, as protocol/evaluation/tasks.py has them."""
        tables: dict[str, Table] = {}
        for k in range(len(self._voxels)):
            tables[f"voxels.{k}"] = [self._voxels[k].tolist()]
            tables[f"overlap.{k}"] = [[int(self._voxels[k, 0]), *self._overlap[k].tolist()]]
            tables[f"histogram.{k}"] = [self._histogram[k].tolist()]
            if self._surfaces and k:
                tables[f"surfaces.{k}"] = [[int(self._voxels[k, 0]), *self._hd95[k].tolist()]]
                tables[f"distances.{k}"] = [self._distances[k].tolist()]
        return tables


def count_voxels(mask: Classes, predicted: Classes, classes: int) -> npt.NDArray[np.int64]:
    """Count a case's voxels by class: (K, K), rows the mask's class, columns the predicted one."""
    matrix = np.zeros(classes**2, np.int64)
    for start in range(0, mask.size, _SLAB):
        true, guess = (each.reshape(-1)[start : start + _SLAB] for each in (mask, predicted))
        flat = true.astype(np.int64) * classes + guess.astype(np.int64)
        matrix += np.bincount(flat, minlength=classes**2)
    return matrix.reshape(classes, classes)
