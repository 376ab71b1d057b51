"""Norms and directions of the sites' updates, computed block by block.

One pass over the files gives the inner products of all pairs of changes (update - model). Norms,
distances and cosines follow from those, so that memory depends neither on the number of sites nor
on the size of the model.
"""

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import numpy.typing as npt

from federator.runtime.weights.block_file import WeightFile

Products = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.float64]

BLOCK = 2**17
"""How many numbers of a site are in memory at a time, at most. With fewer, threads wait for each
other's short steps. The C library keeps the memory of such blocks (control_api.MEMORY)."""
AT_ONCE = 2**22
"""How many numbers are in memory at a time, of all sites together."""
LEAST_SITES = 3
"""Of two updates nothing tells which is the unusual one."""
_SMALL = 1e-30  # of a sum of squares; below 1e-38, float32 has no more digits
_FEW = 8
"""Of so many sites, inner products one by one take a third of the time of a matrix product."""


@dataclass(frozen=True)
class Geometry:
    """The changes that sites made to one model.

    Attributes:
        parameters: inner products of the changes of all floating-point parameters, sites x sites.
        buffers: the same of all floating-point buffers.
    """

    parameters: Products
    buffers: Products

    @cached_property
    def norms(self) -> Numbers:
        """The Euclidean norm of each site's change of the parameters."""
        return norms_of(self.parameters)

    @property
    def distances(self) -> Products:
        """The squared Euclidean distances between the sites' parameters, sites x sites."""
        squares = np.diag(self.parameters)
        return np.asarray(np.maximum(squares[:, None] + squares - 2 * self.parameters, 0.0))

    @cached_property
    def cosines(self) -> Numbers:
        """The cosine between each change and the mean of the other sites' directions.

        Each of the others counts with length 1, so that a long update does not decide alone what
        direction the others have. NaN where a change or that mean is zero, or where there is one
        site.
        """
        norms, count = self.norms, len(self.parameters)
        with np.errstate(divide="ignore", invalid="ignore"):
            directions = self.parameters / np.outer(norms, norms)
            moved = norms > 0
            inner = np.where(np.outer(moved, moved), directions, 0.0)
            found = np.full(count, np.nan)
            for site in np.flatnonzero(moved):
                others = np.arange(count) != site
                length = np.sqrt(inner[np.ix_(others, others)].sum())
                if length > 1e-6:  # else they cancel out
                    found[site] = np.clip(inner[site, others].sum() / length, -1.0, 1.0)
        return found


def norms_of(products: Products) -> Numbers:
    """Return the norms that inner products tell; the largest number where one is beyond it."""
    return np.minimum(np.sqrt(np.diag(products)), sys.float_info.max)


class Measurement:
    """Adds up the inner products of changes, block by block.

    Args:
        sites: how many there are.
        buffers: names of the tensors that are no parameters.
    """

    def __init__(self, sites: int, buffers: Collection[str]) -> None:
        self._buffers = buffers
        self._parameters, self._others = np.zeros((2, sites, sites))

    def add(self, tensor: str, products: Products) -> None:
        """Add those of a block of a tensor."""
        sums = self._others if tensor in self._buffers else self._parameters
        sums += products

    def geometry(self) -> Geometry:
        """Return what all blocks together tell."""
        return Geometry(parameters=self._parameters, buffers=self._others)


def block_size(sites: int) -> int:
    """Return how many numbers of each site are in memory at a time."""
    return max(1, min(BLOCK, AT_ONCE // sites))


def measure(
    before: WeightFile, updates: Sequence[WeightFile], buffers: Collection[str]
) -> Geometry:
    """Measure what sites changed in a model.

    Args:
        before: the model that they started from.
        updates: one per site, with the model's tensors.
        buffers: names of the tensors that are no parameters.
    """
    measurement = Measurement(len(updates), buffers)
    for block in before.blocks(block_size(len(updates))):
        if before.tensors[block.name].is_float:
            new = [update.read(block) for update in updates]
            measurement.add(block.name, inner_products(before.read(block), new))
    return measurement.geometry()


def inner_products(
    old: npt.NDArray[Any], new: Sequence[npt.NDArray[Any]], sums: type[np.floating] = np.float64
) -> Products:
    """Return the inner products of the changes of a block of numbers.

    Differences of float32 are rounded to float32, once and by half of its last digit: that is a
    relative error of 6e-8 of each. Where one is beyond that type's range, float64 takes its place.

    Args:
        old: the model's numbers.
        new: each update's.
        sums: the type that products are added in. By float32, a third of the time, norms of a
            block have a relative error of 1e-5 at most, which four digits do not show.
    """
    for least, most in ((np.float32, sums), (np.float64, np.float64)):
        kind = np.result_type(old, least)
        with np.errstate(over="ignore", invalid="ignore"):  # of float64, beyond all numbers
            changes = np.empty((len(new), len(old)), np.result_type(kind, most))
            for row, after in zip(changes, new, strict=True):
                np.subtract(after, old, out=row, dtype=kind)
            found = _products(changes)
        if np.isfinite(found).all() and not _are_lost(found, changes):
            break
    return found


def _products(changes: npt.NDArray[np.floating]) -> Products:
    count = len(changes)
    if count > _FEW:
        return (changes @ changes.T).astype(np.float64)
    found = np.zeros((count, count))
    for one, other in combinations_with_replacement(range(count), 2):
        found[one, other] = found[other, one] = changes[one] @ changes[other]
    return found


def _are_lost(found: Products, changes: npt.NDArray[np.floating]) -> bool:
    """Return whether a change is too small for its square to be a float32."""
    few = np.diag(found) < _SMALL
    return changes.dtype == np.float32 and bool(few.any() and changes[few].any())
