"""Models of random numbers (Flower sends equal chunks once), with the tensors of VGG16."""

import itertools

import numpy as np

from federator.runtime.weights.format import Weights

_CHANNELS = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
_LAYERS = [(512 * 49, 4096), (4096, 4096), (4096, 1000)]


def shapes(megabytes: int) -> dict[str, tuple[int, ...]]:
    """Return the shapes of VGG16's tensors, or of one tensor of another size."""
    if megabytes != 553:
        return {"weight": (megabytes * 250_000,)}
    found: dict[str, tuple[int, ...]] = {}
    for number, (inner, outer) in enumerate(itertools.pairwise(_CHANNELS)):
        found |= {f"features.{number}.weight": (outer, inner, 3, 3)}
        found |= {f"features.{number}.bias": (outer,)}
    for number, (inner, outer) in enumerate(_LAYERS):
        found |= {f"classifier.{number}.weight": (outer, inner)}
        found |= {f"classifier.{number}.bias": (outer,)}
    return found


def build(megabytes: int) -> Weights:
    """Return such a model."""
    rng = np.random.default_rng(0)
    return {
        name: rng.standard_normal(shape, np.float32) * np.float32(0.01)
        for name, shape in shapes(megabytes).items()
    }
