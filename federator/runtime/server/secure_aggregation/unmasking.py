"""The mean of masked updates: summed modulo 2^32 block by block on disk, without any one of them.

The masks that two sites share cancel in the sum; the sites' own are taken off by their seeds.
"""

from collections.abc import Mapping

import numpy as np

from federator.runtime.masking.fixed_point import mean_step
from federator.runtime.masking.masks import Stream, own_mask
from federator.runtime.masking.terms import Terms, unpacked
from federator.runtime.weights.block_file import Draft, WeightFile
from federator.runtime.weights.format import Tensor


def mean_form(model: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a mean: with all digits, since a strategy may enlarge what is lost."""
    return {name: Tensor("float64", tensor.shape) for name, tensor in model.items()}


def write_mean(
    model: WeightFile,
    updates: Mapping[str, WeightFile],
    seeds: Mapping[str, str],
    terms: Terms,
    attempt: bytes,
    out: Draft,
) -> None:
    """Write the mean of what the sites made of a model, in the form of :func:`mean_form`.

    Args:
        model: what all of them were given.
        updates: what they sent, by site: all of the cohort's.
        seeds: of their own masks (base64), by site.
        terms: on which they masked.
        attempt: what names the attempt (``Terms.name``).
        out: where to.
    """
    masks = [Stream(own_mask(unpacked(seeds[site]), attempt)) for site in terms.sites]
    for block in model.blocks():
        total = np.zeros(block.last - block.first, np.uint32)
        for site in terms.sites:
            total += updates[site].read(block)
        for mask in masks:
            total -= mask.next(len(total))
        grid = terms.grid.of(model.tensors[block.name])
        out.write(block, model.read(block) + mean_step(total, grid))
