"""The journal of a run, ``rounds.jsonl``: what happened, one JSON object a line.

The server appends to it while the run goes on, and a resumed run appends to the same file. So a
journal is read as it is found: unfinished, with a last line cut in the middle, started twice.
"""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from federator.errors import RunError
from federator.runtime.protocol import metrics
from federator.runtime.protocol.instructions import FEDERATION

FILE = "rounds.jsonl"


class _Line(BaseModel):
    """A part of a line; what a later version adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Start(_Line):
    """A run began, or went on after a stop."""

    event: Literal["start"]
    time: datetime
    run: str
    federation: str
    first_round: int
    last_round: int
    strategy: str
    sites: list[str]
    labels: list[str]
    positive: str | None = None
    seed: int = 0
    local_epochs: int = 1
    baselines: bool = False
    select: str = "last"
    versions: dict[str, str] = {}
    encoding: str = "float32"  # of weights on their way
    model_bytes: int | None = None
    sites_withheld: bool = False  # there are figures of all sites together only


class SiteState(_Line):
    """A site joined, or why it is not there."""

    event: Literal["site"]
    time: datetime
    site: str
    state: str  # joined | missing | outdated | refused | failed | restarted | warned
    reason: str | None = None
    examples: dict[str, int] | None = None  # of each of trainset, valset and testset


class Contribution(_Line):
    """What a site did in a round."""

    ok: bool
    reason: str | None = None
    examples: int = 0
    seconds: float | None = None
    bytes_down: int = 0
    bytes_up: int = 0
    bytes_known: int = 0  # of weights that did not travel, since the other side had them


class Round(_Line):
    """A round of training; of a baseline, in which its site alone takes part, too."""

    event: Literal["round"]
    time: datetime
    model: str
    round: int
    seconds: float
    sites: dict[str, Contribution]

    @property
    def ok(self) -> bool:
        """Whether some site delivered, so that there is a new model."""
        return any(part.ok for part in self.sites.values())


class Histogram(_Line):
    """Scores of the positive label, counted in equal bins over 0..1; one row for each label."""

    bins: int
    counts: list[list[int]]


class Result(_Line):
    """A model on one site's data, or on that of several sites taken together."""

    counts: list[list[int]]  # K x K: rows the true label, columns the predicted one
    loss: float | None = None  # mean over the examples
    examples: int
    metrics: dict[str, float] = {}
    scores: Histogram | None = None

    def fits(self, labels: int) -> bool:
        """Whether the counts are a matrix of so many labels."""
        return self.examples >= 0 and _is_table(self.counts, labels, labels)

    def finite(self, labels: int) -> "Result":
        """Leave out numbers that are none, and scores that are not counted in whole bins."""
        good = self.scores is not None and _is_table(self.scores.counts, labels, self.scores.bins)
        return self.model_copy(
            update={
                "loss": self.loss if self.loss is None or isfinite(self.loss) else None,
                "metrics": {name: one for name, one in self.metrics.items() if isfinite(one)},
                "scores": self.scores if good and _is_power(self.scores) else None,
            }
        )


class Evaluation(_Line):
    """A model on every site's validation sets, or on their test sets.

    ``missing`` says why a site that was asked has no figures.
    """

    event: Literal["validation", "test"]
    time: datetime
    model: str
    round: int
    sites: dict[str, Result]
    missing: dict[str, str] = {}

    def fitting(self, labels: int) -> "Evaluation":
        """Leave out what is no figure: of a site, or of its result, where the rest is one."""
        kept = {site: one.finite(labels) for site, one in self.sites.items() if one.fits(labels)}
        return self.model_copy(update={"sites": kept})

    def pooled(self) -> Result | None:
        """Take the sites together, as if their sets were one; None where there are none.

        Counts and scores are pooled only if every site gave them: those of some of the sites
        would stand beside a loss over all of them.
        """
        parts = list(self.sites.values())
        if not parts:
            return None
        names = set.intersection(*(set(part.metrics) for part in parts))
        return Result(
            counts=_pooled_counts(parts),
            loss=_mean([(part.loss, part.examples) for part in parts]),
            examples=sum(part.examples for part in parts),
            metrics={
                name: mean
                for name in sorted(names)
                if (mean := _mean([(part.metrics[name], part.examples) for part in parts]))
                is not None
            },
            scores=_pooled_scores([part.scores for part in parts]),
        )


class Chosen(_Line):
    """Which round ``select: best`` chose: of those compared, at which sites, and why not others."""

    event: Literal["selection"]
    time: datetime
    round: int | None = None
    sites: list[str]
    compared: list[int]
    left_out: dict[int, str] = {}


class End(_Line):
    """A run ended, in one way or another."""

    event: Literal["end"]
    time: datetime
    state: str  # finished | stopped | failed
    reason: str | None = None
    round: int | None = None
    model_round: int | None = None
    seconds: float | None = None


class Waiting(_Line):
    """The server has waited a while for sites, and goes on doing so: to join, or to answer."""

    event: Literal["waiting"]
    time: datetime
    sites: list[str]
    until: datetime


Event = Annotated[
    Start | SiteState | Round | Evaluation | Chosen | Waiting | End, Field(discriminator="event")
]
_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class Journal:
    """A run as far as its journal goes; of what was done twice, the later.

    ``rounds`` and ``validations`` are keyed by model and round, ``tests`` by model. ``misfits``
    are sites with figures that are left out, since they are none of this run's labels.
    """

    def __init__(self, events: Sequence[Event], unreadable: int = 0) -> None:
        self.starts: list[Start] = []
        self.states: list[SiteState] = []
        self.rounds: dict[tuple[str, int], Round] = {}
        self.validations: dict[tuple[str, int], Evaluation] = {}
        self.tests: dict[str, Evaluation] = {}
        self.selection: Chosen | None = None
        self.ends: list[End] = []
        self.misfits: set[str] = set()
        self.unreadable = unreadable
        self.last = events[-1].time
        self._labels = next(len(each.labels) for each in events if isinstance(each, Start))
        for event in events:
            self._take(event)

    @property
    def start(self) -> Start:
        """The latest start: of a resumed run, the one that goes on."""
        return self.starts[-1]

    @property
    def end(self) -> End | None:
        """How the latest start ended; None while it has not."""
        return self.ends[-1] if self.ends and self.ends[-1].time >= self.start.time else None

    @property
    def state(self) -> str:
        """``finished``, ``stopped`` or ``failed``; ``open`` while the journal has no end."""
        return self.end.state if self.end else "open"

    @property
    def positive(self) -> int | None:
        """The index of the positive label; None where there are more than two."""
        labels, positive = self.start.labels, self.start.positive
        if len(labels) != 2:
            return None
        return labels.index(positive) if positive in labels else 1

    @property
    def sites(self) -> list[str]:
        """All sites that the run was started with, or that joined without being named before."""
        named = [site for start in reversed(self.starts) for site in start.sites]
        joined = [state.site for state in self.states if state.state == "joined"]
        return list(dict.fromkeys(named + joined))

    def curve(self, model: str) -> list[Evaluation]:
        """A model's validations, by round."""
        return [self.validations[key] for key in sorted(self.validations) if key[0] == model]

    def trained(self, model: str = FEDERATION) -> list[Round]:
        """A model's rounds, in order."""
        return [self.rounds[key] for key in sorted(self.rounds) if key[0] == model]

    def examples(self) -> dict[str, dict[str, int]]:
        """The size of each set of each site that said so, by its latest word."""
        return {state.site: state.examples for state in self.states if state.examples}

    def _take(self, event: Event) -> None:
        if isinstance(event, Start):
            self.starts.append(event)
            self.selection = None
            self._forget(event.first_round)
        elif isinstance(event, SiteState):
            self.states.append(event)
        elif isinstance(event, Round):
            self.rounds[event.model, event.round] = event
        elif isinstance(event, End):
            self.ends.append(event)
        elif isinstance(event, Waiting):
            pass  # it says what went on, not what came of it
        elif isinstance(event, Chosen):
            self.selection = event
        else:
            self._take_figures(event)

    def _take_figures(self, event: Evaluation) -> None:
        fitting = event.fitting(self._labels)
        self.misfits |= event.sites.keys() - fitting.sites.keys()
        if event.event == "test":
            self.tests[event.model] = fitting
        else:
            self.validations[event.model, event.round] = fitting

    def _forget(self, first: int) -> None:
        """Drop what an earlier attempt did from round ``first`` on: this start does it again."""
        for done in (self.rounds, self.validations):
            for key in [key for key in done if key[0] == FEDERATION and key[1] >= first]:
                del done[key]
        if FEDERATION in self.tests and self.tests[FEDERATION].round >= first:
            del self.tests[FEDERATION]


def read(run: Path) -> Journal:
    """Read the journal of the run in folder ``run``.

    Lines that are not (or not yet) whole are counted in ``unreadable``; events that this
    version does not know are passed over.

    Raises:
        RunError: if there is no journal, or no start of a run in it.
    """
    path = run / FILE
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RunError(
            f"{path}: cannot be read ({error.strerror}): is it a run's folder?"
        ) from None
    events: list[Event] = []
    unreadable = 0
    for line in filter(bytes.strip, lines):
        # After a crash the next start may follow half a line; a quoted one has \" in it.
        whole = line[max(0, line.rfind(b'{"event"')) :]
        unreadable += whole != line
        try:
            events.append(_EVENT.validate_json(whole))
        except ValidationError as error:
            unreadable += error.errors()[0]["type"] != "union_tag_invalid"
    if not any(isinstance(event, Start) for event in events):
        raise RunError(f"{path}: the run has not started yet: nothing to report")
    return Journal(events, unreadable)


def _mean(parts: Sequence[tuple[float | None, int]]) -> float | None:
    """Mean over examples; None where a part's value is unknown, or there are no examples."""
    total = sum(examples for _, examples in parts)
    values = [value * examples for value, examples in parts if value is not None]
    return sum(values) / total if total and len(values) == len(parts) else None


def _pooled_counts(parts: Sequence[Result]) -> list[list[int]]:
    """Add confusion matrices; all 0 if that of a site with examples is."""
    total = metrics.add(part.counts for part in parts)
    known = all(any(map(any, part.counts)) for part in parts if part.examples)
    return total if known else [[0] * len(row) for row in total]


def _is_table(counts: Sequence[Sequence[int]], rows: int, columns: int) -> bool:
    return len(counts) == rows and all(
        len(row) == columns and min(row, default=0) >= 0 for row in counts
    )


def _is_power(scores: Histogram | None) -> bool:
    """Whether the bins can be joined by twos to those of any other such histogram."""
    return scores is not None and scores.bins > 0 and scores.bins & (scores.bins - 1) == 0


def _pooled_scores(parts: Sequence[Histogram | None]) -> Histogram | None:
    given = [part.counts for part in parts if part is not None]
    if not given or len(given) < len(parts):
        return None
    counts = metrics.pool(given)
    return Histogram(bins=len(counts[0]), counts=counts)
