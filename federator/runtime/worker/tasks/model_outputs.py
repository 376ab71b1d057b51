"""The model's outputs for an author's batches, for tasks that compare them with their targets."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.outputs import device_of, last_operation
from federator.runtime.worker.targets import form_of

if TYPE_CHECKING:
    import torch

_FEW = 2  # examples whose outputs are looked at before training


class Given(NamedTuple):
    """A batch's targets as the loader gives them, and the model's outputs on its device.

    Attributes:
        targets: of all examples of the batch.
        outputs: of all, or of the first few.
        examples: how many examples went into the model.
        last: the operation that the outputs come from, as autograd names it; empty if unknown.
    """

    targets: object
    outputs: "torch.Tensor"
    examples: int
    last: str


def split(batch: object, task: str, part: str) -> tuple[object, object]:
    """Return the inputs and the targets of a batch.

    Args:
        batch: as the loader gives it.
        task: whose words a failure says.
        part: which set, ``train``, ``val`` or ``test``.

    Raises:
        Failure: if it is no pair, or its inputs are no tensor.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise Failure(f"{task}-batches", form_of(batch), set=part)
    inputs, targets = batch
    if isinstance(inputs, Mapping) or not hasattr(inputs, "to"):
        raise Failure(f"{task}-inputs", form_of(inputs), set=part)
    return inputs, targets


def outputs_of(
    net: "torch.nn.Module", loader: object, task: str, part: str, number: int
) -> Iterator[Given]:
    """Yield the outputs of each batch of a set.

    Raises:
        Failure: if a batch is no pair, an output no tensor, or not finite.
    """
    import torch

    last: str | None = None
    with reporting_failures(part="load_data"):
        batches = iter(loader)  # type: ignore[call-overload]
    while True:
        with reporting_failures(part="load_data"):
            batch = next(batches, None)
        if batch is None:
            return
        inputs, targets = split(batch, task, part)
        with reporting_failures(part="Model"):
            inputs = inputs.to(device_of(net))  # type: ignore[attr-defined]
            last = last_operation(net, inputs) if last is None else last
            with torch.no_grad():
                outputs = net(inputs)
        _require_tensor(outputs, task)
        if not bool((outputs < torch.inf).all()):  # -inf is the logarithm of a probability of 0
            raise Failure("outputs-not-finite", set=part, count=number)
        yield Given(targets, outputs.detach(), len(inputs), last)
        del batch, inputs, targets, outputs  # before the next, which may be as large


def first_outputs(net: "torch.nn.Module", batch: object, task: str, part: str) -> Given:
    """Return the outputs of a batch's first examples, before anything is trained.

    Raises:
        Failure: as :func:`outputs_of`.
    """
    import torch

    inputs, targets = split(batch, task, part)
    net.eval()
    with reporting_failures(part="Model"), torch.no_grad():
        few = inputs.to(device_of(net))[:_FEW]  # type: ignore[attr-defined]
        outputs = net(few)
    _require_tensor(outputs, task)
    return Given(targets, outputs.detach(), len(few), "")


def _require_tensor(outputs: object, task: str) -> None:
    import torch

    if not isinstance(outputs, torch.Tensor):
        raise Failure(f"{task}-output-kind", form_of(outputs))
