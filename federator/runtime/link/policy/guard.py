"""Holds instructions against the site's policy, and counts those that are followed."""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime

from federator.runtime.link.policy.ledger import ALL, ROUNDS, Ledger
from federator.runtime.link.policy.rules import Rules
from federator.runtime.protocol.instructions import (
    FEDERATION,
    PERSONAL,
    Instruction,
    InstructionError,
)

log = logging.getLogger("federator")

_MEGABYTE = 10**6


class PolicyRefusal(InstructionError):
    """An instruction that the site's policy does not let it follow: which rule, and no more."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"this site's own policy does not allow it (rule: {rule})")


@dataclass(frozen=True)
class PolicyGuard:
    """Holds what a site is asked against its policy.

    Attributes:
        rules: the policy's.
        ledger: what was asked before.
        own_strategy: whether the app's strategy has code of its own.
    """

    rules: Rules = field(default_factory=Rules)
    ledger: Ledger = field(default_factory=Ledger)
    own_strategy: bool = False

    def admit(self, instruction: Instruction, app: str) -> None:
        """Let an instruction pass, and count it; it counts whether or not it succeeds then.

        Args:
            instruction: signed, and not followed before.
            app: the hash of the app.

        Raises:
            PolicyRefusal: if a rule forbids it; the link's log has what the rule says.
            InstructionError: if it cannot be counted.
        """
        rules = self.rules
        now = datetime.now(UTC).time()
        if not rules.is_open(now):
            self._refuse("hours_utc", f"it is {now:%H:%M} UTC")
        if self.own_strategy and not rules.own_strategies:
            self._refuse("own_strategies", "the app's strategy has code of its own")
        if not rules.baselines and instruction.model not in (FEDERATION, PERSONAL):
            self._refuse("baselines", f"the model is {instruction.model}")
        asked = [*([ROUNDS] if instruction.kind == "train" else []), *sorted(set(instruction.sets))]
        for what in asked:
            rounds = what == ROUNDS
            name = ROUNDS if rounds else "evaluations"
            own = rules.rounds_per_app if rounds else rules.evaluations_per_app[what]
            every = rules.rounds_in_all if rounds else rules.evaluations_in_all[what]
            self._require_left(f"{name}_per_app", what, self.ledger.count(app, what), own)
            self._require_left(f"{name}_in_all", what, self.ledger.count(ALL, what), every)
        if asked:
            try:
                self.ledger.add(app, asked)
            except OSError as error:
                what = f"it cannot be counted ({error.strerror})"
                raise InstructionError(what) from None

    def admit_size(self, size: int) -> None:
        """Let a model of so many bytes pass.

        Raises:
            PolicyRefusal: if it is larger than the policy allows.
        """
        if size > self.rules.largest_model_mb * _MEGABYTE:
            self._refuse("largest_model_mb", f"the model has {size / _MEGABYTE:.0f} MB")

    def _require_left(self, rule: str, what: str, done: int, most: int) -> None:
        if done >= most:
            self._refuse(rule, f"{what}: {done} of {most} are used")

    def _refuse(self, rule: str, what: str) -> None:
        log.warning("policy.yaml, %s: %s", rule, what)
        raise PolicyRefusal(rule)
