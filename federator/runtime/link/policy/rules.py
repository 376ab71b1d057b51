"""The rules of a site's policy, with defaults that a careful hospital would choose.

An ordinary federation (50 rounds, ten sites, baselines, ordered three times) stays within them.
What they bound is what a coordinator of bad will learns by asking: docs/threat-model.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import time
from types import MappingProxyType

from federator.runtime.link.policy.ledger import ALL, ROUNDS, Ledger

_EXACT = 2  # minimum cell counts below this are for data that are public: nothing is rounded
# An order of 50 rounds with baselines at ten sites asks for 111 validations and 12 tests; three of
# them, and a fifth more for what is asked again. With 400 validations no simulated attack read more
# than one value of thirty, with 600 some did. In all: fewer bits of a patient than a record has.
_PER_APP = MappingProxyType({"train": 0, "val": 400, "test": 60})
_IN_ALL = MappingProxyType({"train": 0, "val": 1500, "test": 300})


@dataclass(frozen=True)
class Hours:
    """A part of the day, in UTC; it may pass midnight."""

    begin: time
    end: time

    def __contains__(self, now: time) -> bool:
        if self.begin <= self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


@dataclass(frozen=True)
class PrivacyRule:
    """What a policy says of differential privacy: an app without it is refused.

    Attributes:
        epsilon: the most that may be spent on this data folder, by all apps; None for what the
            federation file says. The smaller of the two holds.
        delta: with what chance the guarantee may fail at most, likewise.
    """

    epsilon: float | None = None
    delta: float | None = None


@dataclass(frozen=True)
class Rules:
    """What a site's policy says.

    Attributes:
        rounds_per_app: how often one version of the app may be trained.
        rounds_in_all: how often any version may be.
        evaluations_per_app: how often one version may be evaluated on a set, by set.
        evaluations_in_all: how often any version may be, by set.
        min_cell_count: smallest count that may leave; 0 for what the site's .env says. The larger
            of the two holds.
        loss_digits: significant digits of a loss.
        metric_digits: significant digits of the numbers that the federation file declares.
        sum_digits: significant digits of sums in tables.
        bins: the sets of which tables of bins may leave, such as of scores.
        losses: the sets of which a loss may leave, and the federation file's numbers; None for
            all where nothing else tells how good a model is, and where data are public, else none.
        sums: the sets of which tables of sums may leave, such as of errors.
        hours_utc: when the site follows instructions; always, if there are none.
        baselines: whether the site's own model may be trained and compared.
        own_strategies: whether an app may run whose strategy has code of its own.
        survey: whether what the data hold is told before training.
        largest_model_mb: megabytes (10^6 bytes) of the largest model.
        privacy: that only apps with differential privacy may train, and how much they may spend;
            None to leave that to the federation file.
    """

    rounds_per_app: int = 1000
    rounds_in_all: int = 10_000
    evaluations_per_app: Mapping[str, int] = field(default_factory=lambda: _PER_APP)
    evaluations_in_all: Mapping[str, int] = field(default_factory=lambda: _IN_ALL)
    min_cell_count: int = 0
    loss_digits: int = 3
    metric_digits: int = 3
    sum_digits: int = 6
    bins: tuple[str, ...] = ("test",)
    losses: tuple[str, ...] | None = None
    sums: tuple[str, ...] = ("train", "val", "test")
    hours_utc: tuple[Hours, ...] = ()
    baselines: bool = True
    own_strategies: bool = True
    survey: bool = True
    largest_model_mb: int = 20_000
    privacy: PrivacyRule | None = None

    def is_open(self, now: time) -> bool:
        """Tell whether the site follows instructions at a time of the day (UTC)."""
        return not self.hours_utc or any(now in hours for hours in self.hours_utc)

    def rounds_off(self, minimum: int) -> bool:
        """Tell whether numbers are rounded; not where counts are exact, since data are public."""
        return minimum >= _EXACT


def used(rules: Rules, ledger: Ledger) -> str:
    """Say how much of what any version of the app may be asked is used."""
    parts = {"rounds": (ledger.count(ALL, ROUNDS), rules.rounds_in_all)}
    parts |= {
        f"evaluations of {name}": (ledger.count(ALL, name), most)
        for name, most in rules.evaluations_in_all.items()
        if most
    }
    return ", ".join(f"{done} of {most} {what}" for what, (done, most) in parts.items())


NAMES = tuple(each.name for each in fields(Rules))
