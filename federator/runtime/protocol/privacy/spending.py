"""What a training costs in privacy: the public figures of which a ledger makes epsilon."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

_MOST_STEPS = 2**31


@dataclass(frozen=True)
class Spending:
    """So many steps of the Poisson-sampled Gaussian mechanism (Mironov et al. 2019).

    Attributes:
        sample_rate: q, the probability with which a unit is in a step's batch: the size of a batch
            divided by the number of training units; 0 < q <= 1.
        noise: standard deviation of the noise on a step's sum, in units of the clipping norm.
        steps: how many steps.

    Raises:
        ValueError: if one is no such number.
    """

    sample_rate: float
    noise: float
    steps: int

    def __post_init__(self) -> None:
        if not 0 < self.sample_rate <= 1:
            raise ValueError("sample_rate must be above 0 and at most 1")
        if not (self.noise > 0 and math.isfinite(self.noise)):
            raise ValueError("noise must be above 0")
        if not 0 <= self.steps <= _MOST_STEPS:
            raise ValueError("steps must be a number from 0")

    def times(self, epochs: int) -> "Spending":
        """Return what so many epochs cost, if this is the cost of one."""
        return Spending(self.sample_rate, self.noise, self.steps * epochs)

    @staticmethod
    def of(found: object) -> "Spending":
        """Return the spending in a mapping, such as a worker's answer has.

        Raises:
            ValueError: if it has other keys, or other values.
        """
        if not isinstance(found, Mapping) or set(found) != {"sample_rate", "noise", "steps"}:
            raise ValueError("must have sample_rate, noise and steps, and nothing else")
        rate, noise, steps = found["sample_rate"], found["noise"], found["steps"]
        if type(steps) is not int or {type(rate), type(noise)} - {int, float}:
            raise ValueError("must be numbers")
        return Spending(float(cast(float, rate)), float(cast(float, noise)), steps)
