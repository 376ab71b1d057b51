"""A training with differential privacy: what it would cost, what it cost, and whether it was one.

The author's ``train`` gets ``privacy``, and writes
``net, optimizer, trainloader = privacy(net, optimizer, trainloader)`` before its loop. What it does
with them afterwards is watched: a ``train`` that gets around them fails.
"""

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

from federator.runtime.app_config import Setting
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.protocol.privacy.spending import Spending
from federator.runtime.worker.author_code import at_author_line, reporting_failures
from federator.runtime.worker.personal.ditto import proximal_term
from federator.runtime.worker.privacy import models
from federator.runtime.worker.privacy.loader import Plan, PrivateLoader, plan
from federator.runtime.worker.privacy.tripwire import Tripwire
from federator.runtime.worker.state import take

if TYPE_CHECKING:
    import torch

    from federator.runtime.worker.privacy.optimizer import PrivateOptimizer

log = logging.getLogger("federator")


class PrivateTraining:
    """Trains by DP-SGD at one site.

    Args:
        settings: the federation's.
        module: the author's.
    """

    def __init__(self, settings: PrivacySettings, module: ModuleType) -> None:
        self._settings, self._module = settings, module
        self._plan: Plan | None = None
        self.spent: Spending | None = None
        """What the last training cost."""

    @staticmethod
    def of(config: Mapping[str, Setting], module: ModuleType) -> "PrivateTraining | None":
        """Return what an app's configuration asks for; None if it asks for no privacy."""
        settings = PrivacySettings.in_config(config)
        return PrivateTraining(settings, module) if settings else None

    def epoch(self, net: "torch.nn.Module", loader: object) -> Spending:
        """Return what one epoch would cost.

        Raises:
            Failure: if the model, the loader or the number of units does not allow it.
        """
        if importlib.util.find_spec("opacus") is None:
            raise Failure("privacy-opacus")
        require_suitable(net)
        found = self._planned(loader)
        return Spending(found.sample_rate, self._settings.noise, found.steps)

    def _planned(self, loader: object) -> Plan:
        """Return how the training set is sampled, found once."""
        if self._plan is None:
            told = getattr(self._module, "patients_of", None)
            by_patient = self._settings.unit == "patient"
            if by_patient and told is None:
                raise Failure("privacy-patients")
            with reporting_failures(part="patients_of"):
                found = plan(loader, told if by_patient else None)
                if told is not None and not by_patient:
                    most = max(map(len, plan(loader, told).units))
                    log.info("a patient has up to %d records: privacy holds for a record", most)
            try:
                self._settings.require_units(len(found.units))
            except ValueError:
                raise Failure("privacy-delta", count=len(found.units)) from None
            self._plan = found
        return self._plan

    @contextmanager
    def session(
        self, net: "torch.nn.Module", loader: object, instruction: Instruction
    ) -> Iterator["Session"]:
        """Return what the author's ``train`` is to call; look at the end whether it did.

        A proximal term (FedProx) has no gradient of a record, so that it is added here, after the
        noise: it does not depend on the data.

        Args:
            net: the model that it is given.
            loader: the training set's.
            instruction: that is followed.

        Raises:
            Failure: if it did not, or got around it.
        """
        self.spent = None
        found = self._planned(loader)
        mu, epochs = instruction.proximal_mu, instruction.epochs
        session = Session(self._settings, found, net, loader, epochs * found.steps)
        try:
            with proximal_term(net, take(net), mu) if mu else nullcontext():
                yield session
                session.end(epochs)
        finally:
            session.close()
        self.spent = Spending(found.sample_rate, self._settings.noise, session.steps)


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
        if net is not self._net or trainloader is not self._loader:
            raise self._fail("privacy-given")
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise self._fail("privacy-given")
        known = {id(one) for one in net.parameters()}
        held = [one for group in optimizer.param_groups for one in group["params"]]
        if not {id(one) for one in held} <= known or not any(one.requires_grad for one in held):
            raise self._fail("privacy-given")
        self._require_intact()
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


def require_suitable(net: "torch.nn.Module") -> None:
    """Check that each layer of a model can be trained with differential privacy.

    Raises:
        Failure: ``privacy-model``, with the first layer that cannot be.
    """
    if layer := next(models.unsuitable(net), None):
        raise Failure("privacy-model", layer)
