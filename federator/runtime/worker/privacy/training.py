"""A training with differential privacy: what it would cost, what it cost, and whether it was one.

The author's ``train`` gets ``privacy``, and writes
``net, optimizer, trainloader = privacy(net, optimizer, trainloader)`` before its loop. What it does
with them afterwards is watched: a ``train`` that gets around them fails.
"""

import importlib.util
import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from federator.runtime.app_config import Setting, local_steps
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.reasons import PRIVACY_REASONS
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.protocol.privacy.spending import Spending
from federator.runtime.worker.author_code import reporting_failures
from federator.runtime.worker.personal.ditto import proximal_term
from federator.runtime.worker.privacy import models
from federator.runtime.worker.privacy.loader import Plan, plan
from federator.runtime.worker.privacy.session import Session
from federator.runtime.worker.state import take

if TYPE_CHECKING:
    import torch

log = logging.getLogger("federator")


class PrivateTraining:
    """Trains by DP-SGD at one site.

    Args:
        settings: the federation's.
        module: the author's.
        steps: how many batches an epoch has; None for as many as the loader gives.
    """

    def __init__(
        self, settings: PrivacySettings, module: ModuleType, steps: int | None = None
    ) -> None:
        self._settings, self._module, self._steps = settings, module, steps
        self._plan: Plan | None = None
        self.spent: Spending | None = None
        """What the last training cost."""

    @staticmethod
    def of(config: Mapping[str, Setting], module: ModuleType) -> "PrivateTraining | None":
        """Return what an app's configuration asks for; None if it asks for no privacy."""
        settings = PrivacySettings.in_config(config)
        steps = local_steps(config)
        return PrivateTraining(settings, module, steps) if settings else None

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
                found = plan(loader, told if by_patient else None, self._steps)
                if told is not None and not by_patient:
                    most = max(map(len, plan(loader, told).units))
                    log.info("a patient has up to %d records: privacy holds for a record", most)
            try:
                self._settings.require_units(len(found.units))
            except ValueError:
                raise Failure("privacy-delta", count=len(found.units)) from None
            self._plan = found
        return self._plan

    def _placed(self, failure: Failure) -> Failure:
        """Return a failure of privacy with a line: where none was running, that of ``train``."""
        code = getattr(inspect.unwrap(self._module.train), "__code__", None)
        if failure.line or code is None or failure.reason not in PRIVACY_REASONS:
            return failure
        return replace(failure, file=Path(code.co_filename).name, line=code.co_firstlineno)

    @contextmanager
    def session(
        self, net: "torch.nn.Module", loader: object, instruction: Instruction
    ) -> Iterator[Session]:
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
        except Failure as failure:
            raise self._placed(failure) from None
        finally:
            session.close()
        self.spent = Spending(found.sample_rate, self._settings.noise, session.steps)


def require_suitable(net: "torch.nn.Module") -> None:
    """Check that each layer of a model can be trained with differential privacy.

    Raises:
        Failure: ``privacy-model``, with the first layer that cannot be.
    """
    if layer := next(models.unsuitable(net), None):
        raise Failure("privacy-model", layer)
