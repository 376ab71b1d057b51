"""What a site says that was spent of its privacy budget: over all rounds, runs and apps."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class PrivacyAccount:
    """What a site's ledger says, as the site computed it.

    Attributes:
        training: epsilon of all trainings on the site's data folder.
        evaluations: epsilon of all evaluations, which adds to it.
        delta: with what chance the guarantee may fail.
        plain: whether these data were also trained on without differential privacy, of which
            epsilon says nothing.

    Raises:
        ValueError: if one is no such number.
    """

    training: float
    evaluations: float
    delta: float
    plain: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= one < math.inf for one in (self.training, self.evaluations)):
            raise ValueError("epsilon")
        if not 0 < self.delta < 1:
            raise ValueError("delta")

    @property
    def epsilon(self) -> float:
        """The epsilon of all that left."""
        return self.training + self.evaluations

    @staticmethod
    def of(found: object) -> "PrivacyAccount":
        """Return the account in a mapping.

        Raises:
            ValueError: if it has other keys, or other values.
        """
        if not isinstance(found, Mapping):
            raise ValueError("no account")
        training, evaluations, delta = numbers = [
            found.get(name) for name in ("training", "evaluations", "delta")
        ]
        plain = found.get("plain", False)
        if set(found) - {"training", "evaluations", "delta", "plain"} or type(plain) is not bool:
            raise ValueError("no account")
        if not all(type(one) in (int, float) for one in numbers):
            raise ValueError("no numbers")
        of = (float(str(one)) for one in (training, evaluations, delta))
        return PrivacyAccount(next(of), next(of), next(of), plain)

    def fields(self) -> dict[str, float | bool]:
        """Return the account as a mapping, without what is not so."""
        return {name: value for name, value in asdict(self).items() if name != "plain" or value}
