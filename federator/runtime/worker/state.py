"""A model's state dictionary: taken as arrays, filled from arrays, and compared with them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import CODES, Weights, listed
from federator.runtime.worker.targets import as_plain

if TYPE_CHECKING:
    import torch


def take(net: "torch.nn.Module") -> Weights:
    """Return a model's state dictionary as arrays; bfloat16, which numpy lacks, as float32.

    Raises:
        Failure: if something in it is no tensor, is not there before the first batch, or has a
            type that cannot travel: which, by its name.
    """
    import torch
    from torch.nn.parameter import is_lazy

    state = net.state_dict()
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            raise Failure("state", name)
    if lazy := [name for name, tensor in state.items() if is_lazy(tensor)]:
        raise Failure("lazy", listed(lazy))
    return {name: _array(name, tensor) for name, tensor in state.items()}


def _array(name: str, tensor: "torch.Tensor") -> npt.NDArray[Any]:
    try:
        array: npt.NDArray[Any] = as_plain(tensor).numpy().copy()
        if array.dtype.name in CODES:
            return array
    except (TypeError, RuntimeError):  # a type that numpy does not know
        pass
    raise Failure("tensor-type", name, dtype=str(tensor.dtype).removeprefix("torch."))


def tied(net: "torch.nn.Module") -> list[tuple[str, str]]:
    """Return pairs of names in a model's state dictionary whose tensors share their memory."""
    first: dict[int, str] = {}
    pairs = []
    for name, tensor in net.state_dict().items():
        if tensor.numel():
            one = first.setdefault(tensor.untyped_storage().data_ptr(), name)
            pairs += [(one, name)] if one != name else []
    return pairs


def fill(net: "torch.nn.Module", weights: Weights) -> None:
    """Put arrays into a model's state dictionary; each takes the type of its tensor there."""
    import torch

    net.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})


def has_changed(net: "torch.nn.Module", weights: Weights) -> bool:
    """Tell whether a parameter of a model differs from the arrays it was filled from.

    The last ones come first, since a frozen part is in front: so few have to be looked at.
    """
    import torch

    for name, parameter in reversed(list(net.named_parameters())):
        if name not in weights:
            return True
        now = parameter.detach().cpu()
        if not torch.equal(now, torch.tensor(weights[name]).to(now.dtype)):
            return True
    return False


@contextmanager
def buffers_kept(net: "torch.nn.Module") -> Iterator[list[str]]:
    """Put the buffers back that are changed inside: an evaluation must leave a model as it is.

    Yields:
        The names of those that were, once it is left: of BatchNorm in training mode, say.
    """
    import torch

    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    changed: list[str] = []
    yield changed
    with torch.no_grad():
        for name, buffer in net.named_buffers():
            old = before.get(name)
            if old is None or old.shape != buffer.shape:  # told as a state that has grown
                continue
            if not bool(((old == buffer) | ((old != old) & (buffer != buffer))).all()):
                changed.append(name)
                buffer.copy_(old)


def holds_another_model(returned: object, net: "torch.nn.Module") -> bool:
    """Tell whether what ``train`` returned is, or holds, a model like this one with other weights.

    Such as an average of the models on the way (SWA, EMA), or the best state dictionary.
    """
    import torch

    own = [parameter.detach() for parameter in net.parameters()]
    for other in _parameters(returned, net):
        alike = [one.shape for one in other] == [one.shape for one in own]
        if alike and not all(torch.equal(a.to(b), b) for a, b in zip(other, own, strict=True)):
            return True
    return False


def _parameters(returned: object, net: "torch.nn.Module") -> Iterator[list["torch.Tensor"]]:
    """Yield the parameters of each model, and of each state of this one, among what is returned."""
    import torch

    names = [name for name, _ in net.named_parameters()]
    several = isinstance(returned, tuple | list)
    for value in returned if several else [returned]:  # type: ignore[attr-defined]
        if isinstance(value, torch.nn.Module):
            yield [parameter.detach() for parameter in value.parameters()]
        elif isinstance(value, Mapping) and all(
            isinstance(value.get(name), torch.Tensor) for name in names
        ):
            yield [value[name] for name in names]
