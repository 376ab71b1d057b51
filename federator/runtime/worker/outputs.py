"""What a model's outputs are, where the notebook has no ``predict``: logits, or probabilities."""

import copy
import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.author_code import LONE_EXAMPLE, reporting_failures
from federator.runtime.worker.loaders import no_batch, read_pair, require_tensor
from federator.runtime.worker.targets import form_of

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")

# Operations after which the numbers are the same, named as autograd does, without a number.
_SAME = frozenset({
    "View", "ReshapeAlias", "UnsafeView", "Squeeze", "Unsqueeze", "Select", "Slice", "Index",
    "Clone", "ToCopy", "Alias", "Permute", "T", "Transpose", "Expand", "Clamp", "ClampMin",
    "ClampMax", "Gather", "AsStrided", "Unbind", "Split", "Copy", "CopySlices",
})  # fmt: skip
_PROBABILITIES = frozenset({"Sigmoid", "Softmax", "Hardsigmoid"})
_LOGITS = frozenset({
    "Addmm", "Mm", "Bmm", "Addbmm", "Baddbmm", "Addmv", "Mv", "Linear", "Convolution",
    "LogSoftmax",
})  # fmt: skip


class Prediction(NamedTuple):
    """Labels of shape (N,), scores of shape (N,) or (N, K), and what there is to warn of."""

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    notices: tuple[Notice, ...] = ()


def predict_logits(
    net: "torch.nn.Module", loader: object, part: str, classes: int, number: int = 0
) -> Prediction:
    """Predict for a notebook without ``predict``; a single output is of the label with number 1.

    Args:
        net: the model; ``net(inputs)`` has shape (N, K), or (N,) or (N, 1) for two labels.
        loader: batches that are pairs of inputs and class numbers.
        part: which set, ``train``, ``val`` or ``test``.
        classes: the number of labels K.
        number: the round.

    Raises:
        Failure: if batches or outputs are something else, or outputs are not finite.
    """
    import torch

    truth, found = [], []
    last: str | None = None
    with reporting_failures(part="Model"):
        for batch in loader:  # type: ignore[attr-defined]
            inputs, labels = read_pair(batch, part, classes)
            moved = _moved(net, inputs, part)
            last = last_operation(net, moved) if last is None else last
            with torch.no_grad():
                outputs = net(moved)
            found.append(read_outputs(outputs, len(labels), classes))
            truth.append(labels)
    if not found:
        raise no_batch(loader, part, 0)
    outputs = torch.cat(found)
    if not bool((outputs < torch.inf).all()):  # -inf is the logarithm of a probability of 0
        raise Failure("outputs-not-finite", set=part, count=number)
    scores, code = probabilities(outputs, last or "")
    if not bool(torch.isfinite(scores).all()):
        raise Failure("outputs-not-finite", set=part, count=number)
    everywhere = code == "probabilities"  # in each set, so it is told once
    notices = (Notice(code, "" if everywhere else part),) if code else ()
    return Prediction(np.concatenate(truth), scores.double().numpy(), notices)


def look_at_outputs(net: "torch.nn.Module", batch: object, part: str, classes: int) -> None:
    """Check the form of a model's outputs on a few examples, before anything is trained.

    Raises:
        Failure: as :func:`predict_logits`.
    """
    import torch

    inputs, labels = read_pair(batch, part, classes)
    few = _few(_moved(net, inputs, part))
    net.eval()
    with reporting_failures(part="Model"), torch.no_grad():
        outputs = net(few)
    read_outputs(outputs, min(len(labels), len(few)), classes)


def read_outputs(outputs: object, examples: int, classes: int) -> "torch.Tensor":
    """Return a batch's outputs, of shape (N,) or (N, K), on the processor.

    Raises:
        Failure: if they are no tensor, or of another shape.
    """
    import torch

    if not isinstance(outputs, torch.Tensor):
        raise Failure("output-kind", form_of(outputs))
    shape, dtype = tuple(outputs.shape), str(outputs.dtype).removeprefix("torch.")
    single = classes == 2 and (outputs.ndim == 1 or shape[1:] == (1,))
    if not single and shape[1:] != (classes,):
        reason = "width" if outputs.ndim == 2 else "outputs"
        raise Failure(reason, dtype=dtype, shape=shape[:5], count=classes)
    if shape[0] != examples:
        raise Failure("rows", dtype=dtype, shape=shape[:5], count=examples)
    outputs = outputs.reshape(-1) if single else outputs
    return outputs.detach().float().cpu()


def last_operation(net: "torch.nn.Module", inputs: "torch.Tensor") -> str:
    """Name the operation that a model's outputs come from, as autograd does; empty if unknown."""
    import torch

    few = _few(inputs)
    frozen = not any(parameter.requires_grad for parameter in net.parameters())
    try:
        with torch.enable_grad():
            if frozen and few.is_floating_point():
                few = few.detach().requires_grad_().clone()
            step = net(few).grad_fn
        while step is not None:
            name = step.name().rstrip("0123456789").removesuffix("Backward")
            if name not in _SAME:
                return str(name)
            step = step.next_functions[0][0] if step.next_functions else None
    except Exception:  # what is wrong with it is told when it is computed for its outputs
        log.debug("the model's last operation is unknown", exc_info=True)
    return ""


def probabilities(outputs: "torch.Tensor", last: str) -> tuple["torch.Tensor", str]:
    """Return probabilities of shape (N, K), and the code of a warning (or nothing).

    Args:
        outputs: of shape (N, K), or (N,) of the second of two labels.
        last: the operation that they come from.
    """
    import torch

    inside = bool(((outputs >= 0) & (outputs <= 1)).all())
    code = ""
    if outputs.ndim > 1:
        sums = outputs.sum(1)
        if last in _PROBABILITIES or (inside and bool(((sums - 1).abs() < 1e-3).all())):
            return outputs, "probabilities"
        return outputs.softmax(1), ""  # of log-probabilities it is the probabilities
    if last in _PROBABILITIES:
        second, code = outputs, "probabilities"
    elif last == "LogSigmoid":
        second = outputs.exp()
    else:
        second = outputs.sigmoid()
        code = "perhaps-probabilities" if inside and last not in _LOGITS else ""
    return torch.stack([1 - second, second], 1), code


def needs_more_than_one(net: "torch.nn.Module", inputs: "torch.Tensor") -> bool:
    """Tell whether a model cannot be trained on a batch of one example, for its BatchNorm."""
    import torch

    normed = torch.nn.modules.batchnorm._BatchNorm
    if not any(isinstance(module, normed) for module in net.modules()):
        return False
    apart = copy.deepcopy(net).train()
    try:
        with torch.no_grad():
            apart(inputs[:1].to(device_of(net)))
    except ValueError as error:
        return LONE_EXAMPLE in str(error)
    except Exception:
        log.debug("the model was tried on one example", exc_info=True)
    return False


def _moved(net: "torch.nn.Module", inputs: object, part: str) -> "torch.Tensor":
    require_tensor(inputs, part)
    return inputs.to(device_of(net))  # type: ignore[attr-defined, no-any-return]


def _few(inputs: "torch.Tensor") -> "torch.Tensor":
    return inputs[:2]


def device_of(net: "torch.nn.Module") -> "torch.device":
    """Return the device of a model's parameters; the processor where it has none."""
    import torch

    first = next(net.parameters(), None)
    return torch.device("cpu") if first is None else first.device
