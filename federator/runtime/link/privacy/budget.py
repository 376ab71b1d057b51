"""Holds a site's trainings and evaluations against its privacy budget, before they happen.

The cap is what the site's file says, or less if its policy says less. Four fifths are for training,
a fifth for evaluations of the test set, which cost the same each. The account is over all runs,
models and versions of the app that this site's ledger has seen.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace

from federator.runtime.link.policy.guard import PolicyRefusal
from federator.runtime.link.policy.rules import PrivacyRule
from federator.runtime.link.privacy.ledger import (
    EVALUATION,
    PLAIN,
    PLAN,
    TRAINED,
    TRAINING,
    PrivacyLedger,
    Spent,
    entry,
)
from federator.runtime.protocol.instructions import Instruction, InstructionError
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.privacy.account import PrivacyAccount
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.protocol.privacy.spending import Spending

log = logging.getLogger("federator")

RULE = "privacy"
EVALUATIONS = 0.2
"""The share of the budget that is for evaluations."""
TESTS = 4
"""How many evaluations of the test set that share pays for."""
EVALUATED = "test"
"""The set of which counts leave, with noise; of others nothing does."""
_DELTA = 1e-5  # for which epsilon is told where neither settings nor policy name one
_TOLERANCE = 1e-9  # of sums of floating-point numbers


class NoBudget:
    """No differential privacy: of an app that asks for none.

    Args:
        rule: what the site's policy says of privacy; an app that has none is refused then.
        ledger: that of earlier apps with it; None if there never was one.
    """

    def __init__(
        self, rule: PrivacyRule | None = None, ledger: PrivacyLedger | None = None
    ) -> None:
        self._rule, self._ledger = rule, ledger

    noise: Mapping[str, float] | None = None
    """By set, the epsilon of the noise on its counts; of sets that are not named, nothing leaves.
    None where all is exact."""

    def admit(self, instruction: Instruction, app: str) -> None:
        """Let an instruction pass that is going to be given to the worker, and count its cost.

        Args:
            instruction: that the policy allows.
            app: the hash of the app.

        Raises:
            PolicyRefusal: if the policy asks for privacy, and the app has none.
            InstructionError: if it cannot be written down.
        """
        if instruction.kind == "join":
            return
        if self._rule is not None:
            refuse("the site's policy asks for differential privacy, and this app has none")
        trains = instruction.kind == "train"
        if trains and self._ledger is not None and not self._ledger.spent.plain:
            _write(self._ledger, {"event": PLAIN, "app": app, "run": instruction.run})

    def settle(self, instruction: Instruction, app: str, outcome: Outcome) -> Outcome:
        """Take in what the worker says of costs; return the outcome as it leaves.

        Args:
            instruction: that the worker has followed.
            app: the hash of the app.
            outcome: all that may leave of its answer.
        """
        del instruction, app
        return replace(outcome, spending=None, privacy=None)


class Budget(NoBudget):
    """The privacy budget of an app's training at this site.

    Args:
        settings: the app's, of the site's file.
        rule: what the site's policy says of it.
        ledger: what was spent.
    """

    def __init__(
        self, settings: PrivacySettings, rule: PrivacyRule | None, ledger: PrivacyLedger
    ) -> None:
        super().__init__(rule, ledger)
        rule = rule or PrivacyRule()
        self._settings, self._book = settings, ledger
        self.epsilon = min(settings.epsilon, rule.epsilon or settings.epsilon)
        self.delta = min(settings.delta, rule.delta or settings.delta)
        self._reserved: tuple[int, Spending] | None = None
        self.noise = {EVALUATED: self._test}

    @property
    def _test(self) -> float:
        """The epsilon of one evaluation of the test set."""
        return self.epsilon * EVALUATIONS / TESTS

    def admit(self, instruction: Instruction, app: str) -> None:
        """Let an instruction pass, and write its cost down before it is followed.

        Raises:
            PolicyRefusal: if the budget would be passed, or a training set would be evaluated.
            InstructionError: if it cannot be written down.
            Failure: ``sizes``, if the worker has not said yet what an epoch costs.
        """
        self._reserved = None
        if "train" in instruction.sets:
            refuse("the loss on the training set does not leave under differential privacy")
        about = {"run": instruction.run, "app": app, "round": instruction.round}
        about["model"] = instruction.model
        if instruction.kind == "train":
            self._admit_training(instruction, app, about)
        if EVALUATED in instruction.sets:
            spent = self._book.spent.evaluations + self._test
            if spent > self.epsilon * EVALUATIONS * (1 + _TOLERANCE):
                refuse(f"all {TESTS} evaluations of the test set are used")
            _write(self._book, {"event": EVALUATION, **about, "epsilon": self._test})

    def _admit_training(
        self, instruction: Instruction, app: str, about: Mapping[str, object]
    ) -> None:
        plan = self._book.spent.plans.get(app)
        if plan is None:
            raise Failure("sizes")
        coming = plan.times(instruction.epochs)
        projected = self._book.spent.training(self.delta, coming)
        most = self.epsilon * (1 - EVALUATIONS)
        if not projected <= most:
            refuse(
                f"with this round, training would cost epsilon {projected:.2f} of {most:.2f} "
                f"(delta {self.delta:g})"
            )
        self._reserved = _write(self._book, entry(TRAINING, coming, **about)), coming

    def settle(self, instruction: Instruction, app: str, outcome: Outcome) -> Outcome:
        """Take in what the worker says that an epoch will cost, or that a training has cost.

        Raises:
            Failure: ``withheld``, if it says nothing, or a training has cost more than projected.
            InstructionError: if it cannot be written down.
        """
        if instruction.kind == "join":
            plan = _told(outcome)
            if plan.noise < self._settings.noise:
                log.warning("withheld: the worker adds less noise than the site's file says")
                raise Failure("withheld", "what a training costs: less noise than was agreed")
            if self._book.spent.plans.get(app) != plan:
                _write(self._book, entry(PLAN, plan, app=app))
        elif instruction.kind == "train" and self._reserved is not None:
            (line, planned), self._reserved = self._reserved, None
            real = _told(outcome)
            if (
                real.steps > planned.steps
                or real.sample_rate > planned.sample_rate
                or real.noise < planned.noise
            ):
                log.warning("withheld: the training cost %s, and %s were projected", real, planned)
                raise Failure("withheld", "an update that cost more than was projected")
            if real != planned:
                _write(self._book, entry(TRAINED, real, line=line))
        spent = self._book.spent
        trained = spent.training(self.delta)
        account = PrivacyAccount(trained, spent.evaluations, self.delta, spent.plain)
        return replace(outcome, privacy=account)


def _told(outcome: Outcome) -> Spending:
    """Return what the worker says of a cost.

    Raises:
        Failure: ``withheld``, if it says nothing.
    """
    if outcome.spending is None:
        raise Failure("withheld", "nothing is said of what a training costs")
    return outcome.spending


def refuse(what: str) -> None:
    """Refuse an instruction: the log has what for, the coordinator is told the rule.

    Raises:
        PolicyRefusal: always.
    """
    log.warning("%s: %s", RULE, what)
    raise PolicyRefusal(RULE)


def used(spent: Spent, settings: PrivacySettings | None, rule: PrivacyRule | None) -> str:
    """Say in words how much of a budget is spent."""
    given = [one for one in (settings, rule) if one is not None]
    delta = min([one.delta for one in given if one.delta], default=_DELTA)
    said = f"epsilon {spent.training(delta):.2f} by {spent.trainings} trainings"
    said += f" and {spent.evaluations:.2f} by {spent.released} evaluations (delta {delta:g})"
    caps = [one.epsilon for one in given if one.epsilon]
    return f"{said}, of {min(caps):g}" if caps else said


def _write(ledger: PrivacyLedger, fields: Mapping[str, object]) -> int:
    """Write a line.

    Raises:
        InstructionError: if it cannot be written.
    """
    try:
        return ledger.write(fields)
    except OSError as error:
        what = f"what it costs in privacy cannot be written down ({error.strerror})"
        raise InstructionError(what) from None
