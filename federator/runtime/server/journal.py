"""The journal of a run, ``rounds.jsonl``: what happened, one JSON object a line (docs/results.md).

The server appends events, and a resumed run appends to the same file. These classes write the lines
and read them again. Each line has a hash over those before it (runtime/chain/lines.py).
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_serializer

from federator.runtime.chain import lines
from federator.runtime.protocol.evaluation.settings import Pooling
from federator.runtime.protocol.evaluation.tasks import Task, TaskName
from federator.runtime.protocol.survey import Survey
from federator.runtime.server.aggregation.contribution import Contribution
from federator.runtime.server.evaluations.result import Result, pool
from federator.runtime.server.secure_aggregation.masked_sum import MaskedSum
from federator.runtime.server.survey.finding import Finding

FILE = "rounds.jsonl"

Line = dict[str, Any]
"""An event as it stands in the journal, for those who pass it on as it is."""


class _Line(BaseModel):
    """A part of a line; what a later version adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class _Event(_Line):
    """A line: what happened, and when."""

    time: datetime

    @field_serializer("time")
    def _milliseconds(self, time: datetime) -> str:
        return time.isoformat(timespec="milliseconds")


class Start(_Event):
    """A run began, or went on after a stop."""

    event: Literal["start"] = "start"
    run: str
    federation: str
    first_round: int
    last_round: int
    strategy: str
    sites: list[str]
    task: TaskName = "classification"
    labels: list[str]  # or classes, or targets
    positive: str | None = None
    ranges: list[tuple[float, float]] = []  # of each target
    horizon: float | None = None
    surfaces: str | None = None  # such as "50 mm"
    seed: int = 0
    local_epochs: int = 1
    local_steps: int | None = None  # batches in an epoch; None for all
    baselines: bool = False
    select: str = "last"
    site_privacy: dict[str, float] = {}  # clip, noise and delta
    local: list[str] = []  # patterns over the names of the tensors that stay at the sites
    versions: dict[str, str] = {}
    encoding: str = "float32"  # of weights on their way
    model_bytes: int | None = None
    warnings: list[str] = []  # of keys and certificates that end soon
    by: str = ""  # who ordered it
    coordinator: str = ""  # public keys: this in base64, of each site the line that it sent
    keys: dict[str, str] = {}
    rehearsal: bool = False  # on one machine, with keys that were made for it
    privacy: str = ""  # protocol/privacy/settings.py
    sites_withheld: bool = False  # there are figures of all sites together only

    @property
    def local_work(self) -> str:
        """What a site trains in a round, in words."""
        count, what = self.local_epochs, "epoch"
        if self.local_steps is not None:
            count, what = self.local_epochs * self.local_steps, "step"
        return f"{count} local {what}{'s' if count != 1 else ''}"


class SiteState(_Event):
    """A site joined, or why it is not there."""

    event: Literal["site"] = "site"
    site: str
    state: str  # joined | missing | outdated | refused | failed | restarted | warned
    reason: str | None = None
    examples: dict[str, int] | None = None  # of each of trainset, valset and testset


class Surveyed(_Event):
    """What sites told of their data as they joined (None: nothing), and what is odd there."""

    event: Literal["survey"] = "survey"
    sites: dict[str, Survey | None]
    findings: list[Finding]


class SiteReceipt(_Event):
    """What a site signed of an answer (protocol/receipts.py)."""

    event: Literal["receipt"] = "receipt"
    receipt: dict[str, Any]
    signature: str


class Privacy(_Event):
    """What a site's ledger says after an answer (protocol/privacy/account.py).

    And what it said of this answer's training, or of an epoch (protocol/privacy/spending.py).
    """

    event: Literal["privacy"] = "privacy"
    site: str
    training: float
    evaluations: float
    delta: float
    plain: bool = False
    sample_rate: float | None = None
    noise: float | None = None
    steps: int | None = None

    @property
    def epsilon(self) -> float:
        """The epsilon of all that left."""
        return self.training + self.evaluations


class Round(_Event):
    """A round of training; of a baseline, in which its site alone takes part, too."""

    event: Literal["round"] = "round"
    model: str
    round: int
    seconds: float
    sites: dict[str, Contribution]
    unusual: dict[str, str] = {}  # by site, why its update is; it counts as any other
    epsilon: float | None = None  # of all rounds so far, with site-level privacy
    masked: MaskedSum | None = None

    @property
    def ok(self) -> bool:
        """Whether some site delivered, so that there is a new model."""
        return any(part.ok for part in self.sites.values())


class Evaluation(_Event):
    """A model on every site's validation sets, or on their test sets.

    ``missing``: why an asked site has no figures; ``pooling``: of metrics that no mean pools.
    """

    event: Literal["validation", "test"]
    model: str
    round: int
    sites: dict[str, Result]
    missing: dict[str, str] = {}
    pooling: dict[str, Pooling] = {}

    def fitting(self, task: Task) -> "Evaluation":
        """Leave out what is no figure: of a site, or of its result, where the rest is one."""
        read = {site: one.fitting(task) for site, one in self.sites.items()}
        kept = {site: one for site, one in read.items() if one is not None}
        return self.model_copy(update={"sites": kept})

    def pooled(self) -> Result | None:
        """Take the sites together, as if their sets were one; None where there are none."""
        return pool(self.sites, self.pooling) if self.sites else None


class Chosen(_Event):
    """Which round ``select: best`` chose, by what, of which ones, where, and why not others."""

    event: Literal["selection"] = "selection"
    round: int | None = None
    sites: list[str]
    compared: list[int]
    left_out: dict[int, str] = {}
    by: Literal["loss", "error"] = "loss"


class End(_Event):
    """A run ended, in one way or another."""

    event: Literal["end"] = "end"
    state: str  # finished | stopped | failed
    reason: str | None = None
    round: int | None = None
    model_round: int | None = None
    seconds: float | None = None
    flower_run: int | None = None  # Flower's number of the run: an earlier one may end late


class Removed(_Event):
    """Files were removed that the federation file has kept for so many days only."""

    event: Literal["removed"] = "removed"
    files: list[str]
    kept_days: int


class _Wait(_Event):
    """Sites are waited for."""

    sites: list[str]
    until: datetime

    @field_serializer("until")
    def _seconds(self, until: datetime) -> str:
        return until.isoformat(timespec="seconds")


class Waiting(_Wait):
    """The server has waited a while for sites, and goes on doing so: to join, or to answer."""

    event: Literal["waiting"] = "waiting"


class Paused(_Wait):
    """Too few sites are there: the run waits for some of these, and fails if too few come."""

    event: Literal["paused"] = "paused"
    step: str  # what waits for them, such as "round 7"
    needed: int  # how many of them
    reasons: dict[str, str] = {}  # by site, why it is not there


class Resumed(_Event):
    """Enough sites are there again: the run goes on."""

    event: Literal["resumed"] = "resumed"
    step: str
    seconds: float  # for how long the run was paused


Event = Annotated[
    Start
    | SiteState
    | SiteReceipt
    | Surveyed
    | Privacy
    | Round
    | Evaluation
    | Chosen
    | Waiting
    | Paused
    | Resumed
    | Removed
    | End,
    Field(discriminator="event"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads a line."""
E = TypeVar("E", bound=_Event)


def now() -> datetime:
    """Return the time of an event that happens now."""
    return datetime.now(UTC)


def append(run: Path, event: Event) -> None:
    """Append an event to the journal of the run in a folder."""
    lines.append(run / FILE, fields_of(event))


def fields_of(event: Event) -> Line:
    """Return an event as it is written, without its line's hash."""
    return {"event": event.event, **event.model_dump(exclude_unset=True)}


def events(run: Path, *kinds: type[E]) -> list[E]:
    """Return the events of these kinds that the journal of the run in a folder has so far.

    Raises:
        OSError: if there is no journal.
        ValidationError: if a complete line is not an event.
    """
    return [e for e in map(EVENT.validate_json, _complete_lines(run)) if isinstance(e, kinds)]


def has_ended(run: Path) -> bool:
    """Return whether the last complete event of the run in a folder is its end."""
    last = _complete_lines(run)[-1:] if (run / FILE).exists() else []
    try:
        return bool(last) and isinstance(EVENT.validate_json(last[0]), End)
    except ValidationError:
        return False


def _complete_lines(run: Path) -> list[bytes]:
    """Return the lines of a journal without the last one, if that is not (yet) complete."""
    *lines, _ = (run / FILE).read_bytes().split(b"\n")
    return lines
