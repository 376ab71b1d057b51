"""What the coordinator orders: rounds of a run, and on which terms the sites are asked."""

import json
import math
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from typing import TypeVar

from federator.runtime.protocol.instructions import is_name
from federator.runtime.untrusted import MALFORMED, read_json
from federator.runtime.weights.encoding import ENCODINGS, MASKED

SURVEYS = ("no", "yes", "required", "only")
_MOST = 2**20  # characters


class OrderError(ValueError):
    """What should be an order is none."""


@dataclass(frozen=True)
class Terms:
    """What the federation's files say that an order keeps to.

    Attributes:
        federation: the federation's name.
        sites: the names of its sites, which are those of their baselines, too.
        rounds: the app's number of rounds, where an order names none.
        epochs: local epochs in a round, likewise.
        seed: the federation's.
        encoding: how weights travel in rounds of training.
        survey: whether sites that join tell of their data: ``no``, ``yes`` or ``required``.
        baselines: whether each site is also trained alone, where an order does not say.
        personal: whether sites keep personal models (Ditto), which are evaluated.
        train_loss: whether the strategy weighs sites by the loss on their training sets (q-FedAvg).
        join_deadline: seconds in which sites join.
        round_deadline: seconds in which they answer in a round.
    """

    federation: str
    sites: tuple[str, ...]
    rounds: int
    epochs: int
    seed: int
    encoding: str
    survey: str
    baselines: bool
    personal: bool
    train_loss: bool
    join_deadline: float
    round_deadline: float

    def write(self) -> str:
        """Return the terms as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @staticmethod
    def read(text: str) -> "Terms":
        """Return the terms that are written in JSON.

        Raises:
            OrderError: if they are not of that form.
        """
        try:
            found = read_json(text, _MOST)
            if not isinstance(found, dict):
                raise TypeError("a mapping")
            return _checked(Terms(**{**found, "sites": tuple(found["sites"])}))
        except MALFORMED as error:
            raise OrderError(f"no terms of orders: {type(error).__name__}: {error}") from None


@dataclass(frozen=True)
class RoundsOrder:
    """Rounds that the coordinator has ordered, in one folder of results.

    Attributes:
        run: the folder's name.
        first_round: the first round that is trained.
        last_round: the round to reach; the one before ``first_round`` where none is trained.
        terms: what they keep to, with this order's epochs and baselines.
        expires: seconds since the epoch after which nothing more is signed.
        by: who gave it, as that person or a workflow says.
        given: when, in seconds since the epoch.
        number: the signer's count of orders, from 1; 0 before it has taken this one.
    """

    run: str
    first_round: int
    last_round: int
    terms: Terms
    expires: float
    by: str = ""
    given: float = 0.0
    number: int = 0

    @property
    def survey_only(self) -> bool:
        """Whether the sites only tell of their data, and no round is run."""
        return self.terms.survey == "only"

    def __str__(self) -> str:
        until = datetime.fromtimestamp(self.expires, UTC).isoformat(" ", "minutes")
        which = f"rounds {self.first_round} to {self.last_round} of run {self.run}"
        what = f"a survey of the sites' data, run {self.run}" if self.survey_only else which
        more = "" if self.survey_only else f", {self.terms.epochs} local epochs"
        more += ", baselines" if self.terms.baselines and not self.survey_only else ""
        return f"order {self.number}: {what}{more}, until {until[:16]} UTC"

    def write(self) -> str:
        """Return the order as JSON, in one line."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def read(text: str) -> "RoundsOrder":
        """Return the order that is written in JSON.

        Raises:
            OrderError: if it is none.
        """
        try:
            found = read_json(text, _MOST)
            if not isinstance(found, dict):
                raise TypeError("a mapping")
            terms = Terms.read(json.dumps(found["terms"]))
            order = _checked(RoundsOrder(**{**found, "terms": terms}))
            if not is_name(order.run) or not 0 < order.first_round <= order.last_round + 1:
                raise ValueError("run, or rounds")
        except MALFORMED as error:
            raise OrderError(f"no order: {type(error).__name__}: {error}") from None
        return replace(order, by=order.by[:100])


_Read = TypeVar("_Read", Terms, RoundsOrder)


def worst_case(terms: Terms, first_round: int, last_round: int) -> float:
    """Return the seconds that rounds may take at most, by their deadlines."""
    rounds = last_round - first_round + 1
    asked = 2 * rounds + 2  # trained, then validated; at last the last model, and the chosen one
    asked += rounds + 1 if terms.personal else 0
    asked += last_round + len(terms.sites) if terms.baselines else 0
    return terms.join_deadline + asked * terms.round_deadline


def _checked(made: _Read) -> _Read:
    """Return what was read from JSON if each field has its declared type and a possible value."""
    for each in fields(made):
        kind: object = each.type
        if not _has_form(kind, getattr(made, each.name)):
            raise ValueError(each.name)
    if isinstance(made, Terms):
        names = all(isinstance(one, str) and is_name(one) for one in made.sites)
        if made.baselines and made.encoding == MASKED:
            raise ValueError("secure aggregation excludes baselines")
        if not names or made.survey not in SURVEYS or made.encoding not in ENCODINGS:
            raise ValueError("sites, survey or encoding")
    return made


def _has_form(kind: object, value: object) -> bool:
    if kind is int:
        return type(value) is int and 0 <= value < 2**53
    if kind is float:
        return type(value) in (int, float) and 0 <= float(value) < math.inf  # type: ignore[arg-type]
    return not isinstance(kind, type) or isinstance(value, kind)
