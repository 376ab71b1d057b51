"""How fast a training set is read, beside how fast the model computes: what training waits for."""

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from federator.runtime.worker.loaders import is_plain_pair
from federator.runtime.worker.outputs import device_of

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")

_SECONDS = 5.0  # that a training set is read for
_STEPS = 3  # of the model; the first, which also warms up, is not counted


class Throughput(NamedTuple):
    """Of a training set.

    Attributes:
        reading: seconds that a batch takes to read.
        computing: seconds that the model takes for it, forward and backward; None if that cannot
            be told, as where a batch is no pair of two tensors.
    """

    reading: float
    computing: float | None


def measure(net: "torch.nn.Module", loader: object, seconds: float = _SECONDS) -> Throughput | None:
    """Read a loader for some seconds, and compute with one of its batches; None if it gives none.

    Args:
        net: the model, whose gradients and buffers change.
        loader: of the training set.
        seconds: for reading; one batch more is read.
    """
    began, count, first = time.perf_counter(), 0, None
    for batch in loader:  # type: ignore[attr-defined]
        first = batch if first is None else first
        count += 1
        if time.perf_counter() - began > seconds:
            break
    if not count:
        return None
    return Throughput((time.perf_counter() - began) / count, _computing(net, first))


def _computing(net: "torch.nn.Module", batch: Any) -> float | None:  # noqa: ANN401  # the author's
    if not is_plain_pair(batch) or not hasattr(batch[0], "to"):
        return None
    taken = []
    try:
        inputs = batch[0].to(device_of(net))
        net.train()
        for _ in range(_STEPS):
            began = time.perf_counter()
            net(inputs).float().sum().backward()
            for parameter in net.parameters():
                if parameter.grad is not None:
                    float(parameter.grad.sum())  # a GPU is waited for
                    break
            taken.append(time.perf_counter() - began)
    except Exception:  # such as of an output that is no tensor
        log.debug("the model was tried on a batch", exc_info=True)
        return None
    return min(taken[1:])
