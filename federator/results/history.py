"""The history of a run, read from its journal (runtime/server/journal.py).

A journal is read as it is found: unfinished, with a last line cut in the middle, started twice.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from federator.errors import RunError
from federator.results.measured import Figures, figures
from federator.results.tasks import views
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL
from federator.runtime.server.evaluations.result import Result
from federator.runtime.server.journal import (
    EVENT,
    FILE,
    Chosen,
    End,
    Evaluation,
    Event,
    Paused,
    Privacy,
    Removed,
    Resumed,
    Round,
    SiteReceipt,
    SiteState,
    Start,
    Surveyed,
    Waiting,
)

COMMON = (FEDERATION, PERSONAL)
"""The models that all sites have: the federation's, and where there is one, each site's own."""


class Journal:
    """A run as far as its journal goes; of what was done twice, the later.

    ``rounds`` and ``validations`` are keyed by model and round, ``tests`` by model, ``privacy`` by
    site. ``misfits`` are sites with figures that are left out, since they are none of this run's
    labels. ``view`` derives the figures of the run's task.
    """

    def __init__(self, events: Sequence[Event], unreadable: int = 0) -> None:
        self.starts: list[Start] = []
        self.states: list[SiteState] = []
        self.rounds: dict[tuple[str, int], Round] = {}
        self.validations: dict[tuple[str, int], Evaluation] = {}
        self.tests: dict[str, Evaluation] = {}
        self.survey: Surveyed | None = None
        self.privacy: dict[str, Privacy] = {}
        self.selection: Chosen | None = None
        self.ends: list[End] = []
        self.misfits: set[str] = set()
        self.unreadable = unreadable
        self._pooled: dict[int, tuple[Evaluation, Result | None]] = {}
        self._figures: dict[int, tuple[Result, Figures]] = {}
        first = next(each for each in events if isinstance(each, Start))
        self.view = views.view(first)
        for event in events:
            self.take(event)

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
        """The number of the positive one of two labels; None for all else."""
        return self.view.settings.positive

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

    def pooled(self, evaluation: Evaluation) -> Result | None:
        """Take the sites of one of this run's evaluations together; worked out once for each."""
        known = self._pooled.get(id(evaluation))
        if known is None:  # with the evaluation, so that its id is no other's
            known = self._pooled[id(evaluation)] = (evaluation, evaluation.pooled())
        return known[1]

    def figures(self, result: Result) -> Figures:
        """Return the figures of one of this run's results; worked out once for each."""
        known = self._figures.get(id(result))
        if known is None:
            known = self._figures[id(result)] = (result, figures(self.view, result))
        return known[1]

    def take(self, event: Event) -> None:
        """Take in an event that was added to the journal."""
        self.last = event.time
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
        elif isinstance(event, Waiting | Paused | Resumed | SiteReceipt):
            pass  # they say what went on, not what came of it
        elif isinstance(event, Chosen):
            self.selection = event
        elif isinstance(event, Surveyed):
            self.survey = event
        elif isinstance(event, Privacy):
            known = self.privacy.get(event.site)
            if known is None or event.epsilon >= known.epsilon:
                self.privacy[event.site] = event
        elif isinstance(event, Removed):
            pass  # the figures are there still
        else:
            self._take_figures(event)

    def _take_figures(self, event: Evaluation) -> None:
        fitting = event.fitting(self.view.settings.task)
        self.misfits |= event.sites.keys() - fitting.sites.keys()
        if event.event == "test":
            self.tests[event.model] = fitting
        else:
            self.validations[event.model, event.round] = fitting

    def _forget(self, first: int) -> None:
        """Drop what an earlier attempt did from round ``first`` on: this start does it again."""
        for done in (self.rounds, self.validations):
            for key in [key for key in done if key[0] in COMMON and key[1] >= first]:
                del done[key]
        for model in COMMON:
            if model in self.tests and self.tests[model].round >= first:
                del self.tests[model]


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
        whole = event_in(line)
        unreadable += whole != line
        try:
            events.append(EVENT.validate_json(whole))
        except ValidationError as error:
            unreadable += error.errors()[0]["type"] != "union_tag_invalid"
    if not any(isinstance(event, Start) for event in events):
        raise RunError(f"{path}: the run has not started yet: nothing to report")
    return Journal(events, unreadable)


def event_in(line: bytes) -> bytes:
    """Return the event in a line: after a crash the next one may follow half a line."""
    return line[max(0, line.rfind(b'{"event"')) :]  # a quoted one has \" in it


def latest(runs: Path) -> Path:
    """Return the folder of the run that was last written to.

    Raises:
        RunError: if there is none.
    """
    journals = sorted(runs.glob(f"*/{FILE}"), key=lambda path: path.stat().st_mtime)
    if not journals:
        raise RunError(f"there is no run in {runs}")
    return journals[-1].parent
