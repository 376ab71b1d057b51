"""The differential privacy that a federation asks for, and conditions that give no guarantee.

The guarantee is (epsilon, delta)-differential privacy, where two training sets are neighbours if
one has one unit more than the other (Dwork and Roth 2014, definition 2.4). It comes from DP-SGD
(Abadi et al. 2016, https://arxiv.org/abs/1607.00133, algorithm 1).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast, get_args

from federator.runtime.app_config import Setting

Unit = Literal["record", "patient"]
"""Of what one more or less in a training set is hidden: a record, or all records of a patient."""
UNITS: tuple[Unit, ...] = get_args(Unit)

MOST_EPSILON = 20.0
"""e^20 is 485 million: a larger factor between odds hides nothing."""
MOST_DELTA = 0.01
LEAST_NOISE = 0.3
"""One step with all records and less noise has an epsilon above MOST_EPSILON (delta 1e-5)."""
_MOST = 1e6


@dataclass(frozen=True)
class PrivacySettings:
    """What a federation asks of each training at a site.

    Attributes:
        epsilon: the most that all trainings of a site may cost together; 0 < epsilon <= 20.
        delta: the probability with which the guarantee may fail; 0 < delta <= 0.01, and no more
            than 1 / n for n units (:meth:`require_units`).
        clip: the largest Euclidean norm of one unit's gradient, C.
        noise: the standard deviation of the noise on a sum of gradients, in units of C; >= 0.3.
        unit: what is hidden.

    Raises:
        ValueError: if they give no guarantee: the field's name, and what it must be.
    """

    epsilon: float
    delta: float
    clip: float
    noise: float
    unit: Unit = "record"

    def __post_init__(self) -> None:
        for each in fields(self):
            if phrase := objection(each.name, getattr(self, each.name)):
                raise ValueError(f"{each.name} {phrase}")

    def require_units(self, units: int) -> None:
        """Check that delta is no more than 1 / n, for n units in the training set.

        Raises:
            ValueError: if it is more: a training that publishes one unit in full then satisfies
                the guarantee.
        """
        if units * self.delta > 1:
            raise ValueError(f"delta must be at most 1/{units} here, not {self.delta:g}")

    def values(self) -> dict[str, Setting]:
        """Return the settings by name, as JSON takes them."""
        return asdict(self)

    @staticmethod
    def of(found: object) -> "PrivacySettings":
        """Return the settings in a mapping.

        Raises:
            ValueError: if it has other keys, or they give no guarantee.
        """
        names = {each.name for each in fields(PrivacySettings)}
        if not isinstance(found, Mapping) or set(found) != names:
            raise ValueError(f"must have {', '.join(sorted(names))}, and nothing else")
        return PrivacySettings(**cast(Mapping[str, Any], found))

    def write(self) -> str:
        """Return the settings as one line: ``epsilon=8.0 delta=1e-05 clip=1.0 …``."""
        numbers = (f"{name}={float(value)}" for name, value in self.values().items()
                   if name != "unit")  # fmt: skip
        return f"{' '.join(numbers)} unit={self.unit}"

    @staticmethod
    def read(text: str) -> "PrivacySettings":
        """Return the settings that :meth:`write` wrote.

        Raises:
            ValueError: if the text is another, or they give no guarantee.
        """
        pairs = dict(entry.split("=", 1) for entry in text.split() if "=" in entry)
        if len(pairs) != len(text.split()):
            raise ValueError("must be name=value, separated by spaces")
        return PrivacySettings.of(
            {name: value if name == "unit" else float(value) for name, value in pairs.items()}
        )

    @staticmethod
    def in_config(config: Mapping[str, Setting]) -> "PrivacySettings | None":
        """Return what an app's configuration asks for; None if nothing.

        Raises:
            ValueError: as :meth:`read`.
        """
        written = str(config.get("privacy", ""))
        return PrivacySettings.read(written) if written else None


def objection(name: str, value: object) -> str | None:
    """Return why a field's value gives no guarantee, as in "must be …"; None if it may do.

    Args:
        name: of a field of :class:`PrivacySettings`.
        value: of any type.
    """
    if name == "unit":
        return None if value in UNITS else f"must be {' or '.join(UNITS)}"
    if type(value) not in (int, float) or not math.isfinite(cast(float, value)):
        return "must be a finite number"
    number = cast(float, value)
    if name == "epsilon" and not 0 < number <= MOST_EPSILON:
        return f"must be above 0 and at most {MOST_EPSILON:g}: more hides nothing"
    if name == "delta" and not 0 < number <= MOST_DELTA:
        return f"must be above 0, since noise is Gaussian, and at most {MOST_DELTA:g}"
    if name == "noise" and number == 0:
        return "must not be 0: without noise there is no guarantee"
    if name == "noise" and not LEAST_NOISE <= number <= _MOST:
        return f"must be at least {LEAST_NOISE:g}: less hides nothing, whatever epsilon says"
    if name == "clip" and not 0 < number <= _MOST:
        return "must be above 0: noise is measured by it"
    return None
