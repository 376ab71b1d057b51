"""Which tensors of a model's state are no parameters: BatchNorm's statistics, counters, tables.

Optimizers move parameters. A buffer is what the forward pass keeps; under a server's momentum a
variance falls below 0. The names of the buffers stand in ``NAME.buffers.json`` beside the file of
the first model, ``NAME.safetensors``.
"""

import json
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from federator.errors import RunError
from federator.runtime.files import write

if TYPE_CHECKING:
    import torch

Buffers = frozenset[str]


def find_buffers(net: "torch.nn.Module") -> Buffers:
    """Return the names in a model's state dictionary that are no parameters.

    A name whose tensor lies in a parameter's memory counts as parameter, as of tied weights.
    """
    names = {name for name, _ in net.named_parameters(remove_duplicate=False)}
    memory = {one.untyped_storage().data_ptr() for one in net.parameters() if one.numel()}
    return frozenset(
        name
        for name, tensor in net.state_dict().items()
        if name not in names
        and not (tensor.numel() and tensor.untyped_storage().data_ptr() in memory)
    )


def write_buffers(model: Path, buffers: Collection[str]) -> None:
    """Write the buffers' names beside the file of the first model."""
    write(_beside(model), json.dumps(sorted(buffers), indent=1) + "\n")


def read_buffers(model: Path, tensors: Collection[str]) -> Buffers:
    """Return the buffers' names that stand beside the file of the first model.

    Args:
        model: that file.
        tensors: the names of all tensors in it.

    Raises:
        RunError: if they are not there, or are not of this model.
    """
    path = _beside(model)
    try:
        names = json.loads(path.read_text())
    except (OSError, ValueError):
        names = None
    if not isinstance(names, list) or not all(type(name) is str for name in names):
        raise RunError(
            f"{path} does not say which tensors of the model are no parameters: "
            "have the first model made anew, and start a new run"
        )
    if strangers := sorted(set(names) - set(tensors)):
        raise RunError(f"{path} names a tensor that the model does not have: {strangers[0]}")
    return frozenset(names)


def _beside(model: Path) -> Path:
    return model.with_suffix(".buffers.json")
