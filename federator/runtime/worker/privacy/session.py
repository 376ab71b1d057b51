"""What the author's ``train`` gets as ``privacy``, and what it may not do with what comes back."""

import warnings
from typing import TYPE_CHECKING, Any

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.worker.author_code import at_author_line
from federator.runtime.worker.privacy.loader import Plan, PrivateLoader
from federator.runtime.worker.privacy.tripwire import Tripwire

if TYPE_CHECKING:
    import torch

    from federator.runtime.worker.privacy.optimizer import PrivateOptimizer


class Session:
    """One call of the author's ``train``: its ``privacy``.

    Args:
        settings: the federation's.
        plan: how the training set is sampled.
        net: the model that it was given.
        loader: the training set's.
        most: how many steps were ordered.
    """

    def __init__(
        self,
        settings: PrivacySettings,
        plan: Plan,
        net: "torch.nn.Module",
        loader: object,
        most: int,
    ) -> None:
        self._settings, self._plan, self._net = settings, plan, net
        self._loader, self._most = loader, most
        self._tripwire = Tripwire(net)
        self._failure: Failure | None = None
        self._hooks: Any = None
        self._optimizer: PrivateOptimizer | None = None
        self._batch: int | None = None  # the records of the batch that no step was made for yet
        self.steps = 0
        """How many private steps were made."""

    def __call__(
        self, net: "torch.nn.Module", optimizer: "torch.optim.Optimizer", trainloader: object
    ) -> tuple["torch.nn.Module", "PrivateOptimizer", PrivateLoader]:
        """Return network, optimizer and loader to train with, in place of those that are given.

        Raises:
            Failure: if it was called before, or with something else than ``train`` was given.
        """
        import torch
        from opacus.grad_sample import GradSampleHooks

        from federator.runtime.worker.privacy.optimizer import PrivateOptimizer

        if self._hooks is not None:
            raise self._fail("privacy-twice")
        # A loader that stands for the one that was planned with has its records all the same.
        records = getattr(self._loader, "dataset", None)
        if net is not self._net or getattr(trainloader, "dataset", trainloader) is not records:
            raise self._fail("privacy-given")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise self._fail("privacy-given")
        known = {id(one) for one in net.parameters()}
        held = [one for group in optimizer.param_groups for one in group["params"]]
        if not {id(one) for one in held} <= known or not any(one.requires_grad for one in held):
            raise self._fail("privacy-given")
        self._require_intact()
        # Torch warns of its own way to call Opacus's hooks, once for each line of the author's.
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        self._hooks = GradSampleHooks(net)
        self._optimizer = PrivateOptimizer(
            optimizer,
            self._settings,
            self._plan.batch,
            self._before_step,
            self._after_step,
            self._unlike,
        )
        return net, self._optimizer, PrivateLoader(trainloader, self._plan, self._drawn)  # type: ignore[arg-type]

    def _fail(self, reason: str) -> Failure:
        """Return a failure at the author's line; an author who catches it gets it at the end."""
        failure = at_author_line(Failure(reason))
        self._failure = self._failure or failure
        return failure

    def _require_intact(self) -> None:
        if not self._tripwire.is_intact():
            raise self._fail("privacy-weights")

    def _drawn(self, size: int) -> None:
        """Remember a batch of the loader's; of one without records, make the step at once."""
        self._batch = size
        if not size and self._optimizer is not None:
            self._require_ordered()
            self._require_intact()
            self._optimizer.step_of_noise()

    def _before_step(self, rows: set[int]) -> None:
        if self._batch is None or rows != {self._batch}:
            raise self._fail("privacy-batch")
        self._require_ordered()
        self._require_intact()

    def _require_ordered(self) -> None:
        if self.steps >= self._most:
            raise self._fail("privacy-steps")

    def _after_step(self) -> None:
        self._batch = None
        self.steps += 1
        self._tripwire.set()

    def _unlike(self) -> None:
        raise self._fail("privacy-loss")

    def end(self, epochs: int) -> None:
        """See that it was a private training.

        Raises:
            Failure: if it was not.
        """
        if self._failure is not None:
            raise self._failure
        if self._hooks is None and epochs:
            raise self._fail("privacy-unused")
        self._require_intact()

    def close(self) -> None:
        """Take from the model what computed gradients by record."""
        if self._hooks is not None:
            self._hooks.cleanup()
            for one in self._net.parameters():
                one.grad = None
                vars(one).pop("summed_grad", None)
