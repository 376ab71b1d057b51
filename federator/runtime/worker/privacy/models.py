"""Which layers of a model cannot be trained with differential privacy, and what takes their place.

Each record needs a gradient of its own (Opacus, ``opacus.validators``). Statistics of batches mix
records, and running ones keep them in the model without noise.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

REMEDIES = {
    "BatchNorm1d": "nn.GroupNorm",
    "BatchNorm2d": "nn.GroupNorm",
    "BatchNorm3d": "nn.GroupNorm",
    "SyncBatchNorm": "nn.GroupNorm",
    "LazyBatchNorm1d": "nn.GroupNorm",
    "LazyBatchNorm2d": "nn.GroupNorm",
    "LazyBatchNorm3d": "nn.GroupNorm",
    "LSTM": "opacus.layers.DPLSTM",
    "GRU": "opacus.layers.DPGRU",
    "RNN": "opacus.layers.DPRNN",
    "MultiheadAttention": "opacus.layers.DPMultiheadAttention",
    "TransformerEncoderLayer": "a layer of opacus.layers.DPMultiheadAttention",
    "TransformerDecoderLayer": "a layer of opacus.layers.DPMultiheadAttention",
}
"""By the name of a class of ``torch.nn``: what takes its place."""


def unsuitable(net: "torch.nn.Module") -> Iterator[str]:
    """Yield words on each layer that cannot be trained so: where it is, and what to write."""
    found = set[str]()
    for name, layer in net.named_modules():
        above = [kind for kind in type(layer).__mro__ if kind.__module__.startswith("torch.nn.")]
        kinds = [kind.__name__ for kind in above]
        if remedy := next((REMEDIES[kind] for kind in kinds if kind in REMEDIES), None):
            found.add(name)
            yield f"{type(layer).__name__} at {name or 'the top'}: write {remedy} in its place"
        elif getattr(layer, "track_running_stats", False):
            found.add(name)
            yield f"{type(layer).__name__} at {name}: write track_running_stats=False"
        elif _has_both(layer) and not any(name.startswith(f"{one}.") for one in found):
            yield f"{type(layer).__name__} at {name or 'the top'}: its buffers get no noise"


def _has_both(layer: "torch.nn.Module") -> bool:
    """Tell whether a layer has trainable parameters and buffers of its own."""
    trainable = any(one.requires_grad for one in layer.parameters(recurse=False))
    return trainable and any(True for _ in layer.buffers(recurse=False))
