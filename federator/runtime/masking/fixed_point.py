"""Fixed-point numbers modulo 2^32: what a site sends of a step, and what a sum of them means.

A site's step is the difference between the model that it trained and the one that it was given. Of
each number d of it the site sends ``rint(s * clip(d, -B, B) * 2^k)`` modulo 2^32, where s is the
site's share of all examples. The shares add up to 1, so the sum over n sites stays within
``B * 2^k + n / 2``: it is known exactly if that is below 2^31. The sum, over 2^k, differs from the
mean of the (clipped) steps by at most ``n * 2^-(k+1)``.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.weights.format import Tensor, WeightsError

Numbers = npt.NDArray[Any]
Ring = npt.NDArray[np.uint32]

DEFAULT_BOUND = 64.0
"""The largest step of a number in one round that is sent as it is."""
MOST_SITES = 1024
_MOST_BITS = 40
_LARGEST = 2**31 - 1
_INTEGER_BITS, _INTEGER_BOUND = 8, 2.0**22  # of counters: their mean is rounded to whole numbers


@dataclass(frozen=True)
class Grid:
    """The fixed-point numbers of a round.

    Attributes:
        bits: k: a number counts in steps of 2^-k.
        bound: B: a step is clipped to -B and B.
    """

    bits: int
    bound: float

    @classmethod
    def finest(cls, bound: float, sites: int) -> "Grid":
        """Return the finest grid on which the sum over so many sites cannot overflow.

        Raises:
            ValueError: if there is none for this bound.
        """
        if not (math.isfinite(bound) and bound > 0):
            raise ValueError(f"a bound of {bound} is none")
        bits = _MOST_BITS
        while bits >= 0 and not cls(bits, bound).holds(sites):
            bits -= 1
        if bits < 0:
            raise ValueError(f"steps of up to {bound} do not fit into 32 bits")
        return cls(bits, bound)

    def holds(self, sites: int) -> bool:
        """Tell whether the sum over so many sites cannot overflow, whatever they send."""
        possible = 0 < sites <= MOST_SITES and 0 <= self.bits <= _MOST_BITS
        if not (possible and math.isfinite(self.bound) and self.bound > 0):
            return False
        # 1 for the shares: as floating-point numbers they may add up to a little more than 1.
        return self.bound * 2.0**self.bits + sites / 2 + 1 <= _LARGEST

    @property
    def quantum(self) -> float:
        """The difference between two numbers that follow one another."""
        return 2.0**-self.bits

    def of(self, tensor: Tensor) -> "Grid":
        """Return the grid for a tensor: of integers, such as counters, it is a coarser one."""
        return self if tensor.is_float else Grid(_INTEGER_BITS, _INTEGER_BOUND)


class Quantised(NamedTuple):
    """A site's part of a sum: numbers modulo 2^32, and how many were clipped."""

    numbers: Ring
    saturated: int


def quantise(trained: Numbers, given: Numbers, share: float, grid: Grid) -> Quantised:
    """Return a site's part of the sum of steps.

    Args:
        trained: what a site made of a block of numbers.
        given: the same block of the model that it was given.
        share: the site's, from 0 to 1.
        grid: the round's, for this tensor.

    Raises:
        WeightsError: if a step is NaN or infinite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        step = trained.astype(np.float64) - given.astype(np.float64)
    if not np.isfinite(step).all():
        raise WeightsError("NaN or infinite values")
    saturated = int(np.count_nonzero(np.abs(step) > grid.bound))
    whole = np.rint(np.clip(step, -grid.bound, grid.bound) * (share * 2.0**grid.bits))
    return Quantised(whole.astype(np.int64).astype(np.uint32), saturated)


def mean_step(total: Ring, grid: Grid) -> npt.NDArray[np.float64]:
    """Return the mean of the sites' steps, from the sum of their parts modulo 2^32."""
    return total.view(np.int32).astype(np.float64) * grid.quantum
