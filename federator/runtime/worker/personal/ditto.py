"""Ditto (Li et al. 2021, https://arxiv.org/abs/2012.04221): a model of each site's own, kept near.

In a round a site trains the model that it received, for the server, and then its personal model v,
which stays: v minimises F(v) + mu/2 ||v - w||^2, where F is the notebook's loss at this site and w
the model that was received (Algorithm 1). At first v is w.
"""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from federator.runtime.app_config import Setting
from federator.runtime.protocol.instructions import PERSONAL, Instruction
from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import Tensor, Weights, describe
from federator.runtime.worker.personal.volume import Volume
from federator.runtime.worker.state import fill, take

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")

Train = Callable[["torch.nn.Module", Instruction, Weights], object]


class Ditto:
    """Finds a site's personal model on its volume, and keeps it there.

    Args:
        mu: weight of the proximal term.
        volume: the site's.
        own_term: whether the author's ``train`` takes ``proximal_mu`` and ``global_weights``, and
            so has a proximal term of its own.
    """

    def __init__(self, mu: float, volume: Volume, own_term: bool) -> None:
        self._mu, self._volume, self._own_term = mu, volume, own_term

    @staticmethod
    def of(config: Mapping[str, Setting], volume: Volume, module: ModuleType) -> "Ditto":
        """Return what an app's configuration asks for, for the author's code in a module."""
        train = getattr(module, "train", None)
        accepted = inspect.signature(train).parameters.keys() if train else frozenset[str]()
        own_term = {"proximal_mu", "global_weights"} <= accepted
        return Ditto(float(config["proximal-mu"]), volume, own_term)

    def train(
        self, net: "torch.nn.Module", received: Weights, instruction: Instruction, train: Train
    ) -> tuple[Notice, ...]:
        """Train the site's personal model, keep it, and return what there is to warn of.

        Args:
            net: of its form.
            received: the model that came from the server.
            instruction: for which that was trained.
            train: calls the author's ``train`` with a model, as an instruction says, and what it
                is to stay close to.

        Raises:
            Failure: if the author's code fails, or the model cannot be kept.
        """
        start, told = self._start(received, instruction)
        fill(net, start)
        with nullcontext() if self._own_term else proximal_term(net, received, self._mu):
            train(net, replace(instruction, proximal_mu=self._mu), received)
        trained = take(net)
        if describe(trained) != describe(received):
            raise Failure("grown")
        self._volume.keep(instruction.run, PERSONAL, instruction.round, trained)
        log.info("stays here: the personal model of round %d", instruction.round)
        return told

    def _start(
        self, received: Weights, instruction: Instruction
    ) -> tuple[Weights, tuple[Notice, ...]]:
        before = instruction.round - 1
        found = self._volume.newest(instruction.run, PERSONAL, before)
        if found is not None and describe(found[1]) == describe(received):
            return found[1], ()
        return received, (Notice("personal-anew", value=instruction.round),) if before else ()

    def tested(self, form: dict[str, Tensor], instruction: Instruction) -> Weights:
        """Return the personal model to evaluate; where it is tested, keep it for the people here.

        Raises:
            Failure: ``no-personal``, if the site has trained none.
        """
        found = self._volume.newest(instruction.run, PERSONAL, instruction.round)
        if found is None or describe(found[1]) != form:
            raise Failure("no-personal")
        if "test" in instruction.sets:
            self._volume.keep_whole(instruction.run, PERSONAL, found[1])
        return found[1]


@contextmanager
def proximal_term(net: "torch.nn.Module", centre: Weights, mu: float) -> Iterator[None]:
    """Add a proximal term to what the optimizers minimise: mu/2 ||w - centre||^2.

    Its gradient is added before each step of an optimizer of ``torch.optim``, after gradients were
    accumulated, unscaled or clipped.

    Raises:
        Failure: ``no-proximal``, if no optimizer made a step with the model's parameters.
    """
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    parameters = list(net.parameters())
    centres = dict(zip(map(id, parameters), centres_of(net, centre), strict=True))
    pulled = False

    def pull(optimizer: "torch.optim.Optimizer", _arguments: Any, _options: Any) -> None:  # noqa: ANN401  # torch's
        nonlocal pulled
        for group in optimizer.param_groups:
            for one in group["params"]:
                if one.grad is not None and id(one) in centres:
                    one.grad.add_(one.detach() - centres[id(one)], alpha=mu)
                    pulled = True

    handle = register_optimizer_step_pre_hook(pull)
    try:
        yield
    finally:
        handle.remove()
    if not pulled:
        raise Failure("no-proximal")


def centres_of(net: "torch.nn.Module", centre: Weights) -> "list[torch.Tensor]":
    """Return, for each of a model's parameters, the tensor of other weights with its name."""
    import torch

    return [
        torch.tensor(centre[name]).to(one.device, one.dtype) for name, one in net.named_parameters()
    ]
