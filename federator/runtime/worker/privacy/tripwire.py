"""Notices that a model's tensors changed between two private steps.

A guard against mistakes in ``train``, and not against an author who means to get around it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Tripwire:
    """Remembers the tensors of a model as they should still be.

    Args:
        net: the model. A copy of its state dictionary is kept: as much memory again.
    """

    def __init__(self, net: "torch.nn.Module") -> None:
        self._net = net
        self._kept: dict[str, torch.Tensor] = {}
        self.set()

    def set(self) -> None:
        """Take the tensors as they are now."""
        for name, tensor in self._net.state_dict().items():
            if name in self._kept and _alike(self._kept[name], tensor):
                self._kept[name].copy_(tensor)
            else:
                self._kept[name] = tensor.detach().clone()

    def is_intact(self) -> bool:
        """Tell whether all tensors are as they were, to the bit."""
        state = self._net.state_dict()
        return state.keys() == self._kept.keys() and all(
            _same_bits(self._kept[name], tensor) for name, tensor in state.items()
        )


def _alike(one: "torch.Tensor", other: "torch.Tensor") -> bool:
    return (one.shape, one.dtype, one.device) == (other.shape, other.dtype, other.device)


def _same_bits(one: "torch.Tensor", other: "torch.Tensor") -> bool:
    """Tell whether two tensors are the same; a NaN is the same as itself."""
    import torch

    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    moved = other.to(one.device)  # an author may move the model to a GPU
    return torch.equal(_bytes(one), _bytes(moved))


def _bytes(tensor: "torch.Tensor") -> "torch.Tensor":
    import torch

    return tensor.detach().contiguous().flatten().view(torch.uint8)
