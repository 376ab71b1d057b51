"""Random numbers of the operating system, for noise and sampling that nobody can reproduce.

A run's seed is public, so noise drawn from it could be subtracted. Nor does a seed of its own
suffice: ``torch.Generator`` on a CPU takes 32 bits of it, which are tried out in hours.
"""

import os

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

_BITS = 53  # of a float64's mantissa
_AT_ONCE = 2**18  # numbers: bounds the memory on the way


def uniform(count: int) -> Numbers:
    """Return so many numbers, uniform over the multiples of 2^-53 in [0, 1)."""
    whole = np.frombuffer(os.urandom(8 * count), dtype=np.uint64) >> np.uint64(64 - _BITS)
    numbers: Numbers = whole.astype(np.float64) * 2.0**-_BITS
    return numbers


def chosen(count: int, rate: float) -> list[int]:
    """Return the numbers from 0 below ``count`` of a Poisson sample: each with probability q."""
    found: list[int] = np.flatnonzero(uniform(count) < rate).tolist()
    return found


def normal(count: int) -> Numbers:
    """Return so many numbers of the standard normal distribution.

    By Box and Muller (1958, https://doi.org/10.1214/aoms/1177706645); at most 8.6 in size.
    """
    parts = [_pairs(min(_AT_ONCE, count - start)) for start in range(0, count, _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _pairs(count: int) -> Numbers:
    half = -(-count // 2)
    radius = np.sqrt(-2.0 * np.log(1.0 - uniform(half)))  # of (0, 1]: no logarithm of 0
    angle = 2.0 * np.pi * uniform(half)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
