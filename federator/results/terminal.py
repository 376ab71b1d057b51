"""A run's progress in the terminal: live where there is one, plain lines where there is not."""

import time
from collections.abc import Callable
from datetime import datetime

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from federator.common import figures
from federator.results import measured, survey, updates
from federator.results.privacy import spent
from federator.results.progress.standing import awaited
from federator.results.tasks import views
from federator.results.tasks.base import View
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import Evaluation, Line, Round, Start, Surveyed


class RunProgress:
    """Shows events as they come: lines that stay, and on a terminal a bar with the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = progress_bar(console)
        self._task, self._description = TaskID(0), ""
        self._first = self._last = 0
        self._view: View | None = None
        self._personal = False  # whether tensors stay at the sites
        self._measured: set[str] = set()
        self._spent: dict[str, tuple[float, float]] = {}  # epsilon and delta, by site
        # When the first round of this part of the run began, and its last one will end; pauses
        # move both.
        self._began: float | None = None
        self._ends: float | None = None
        # A round's failures, as reason and line, until it is known what came of it.
        self._held: list[tuple[str | None, str]] = []
        self._show: dict[str, Callable[[Line], None]] = {
            "start": self._start,
            "site": self._site,
            "survey": self._survey,
            "privacy": self._privacy,
            "round": self._round,
            "validation": self._validation,
            "waiting": self._waiting,
            "paused": self._paused,
            "resumed": self._resumed,
            "exception": self._exception,
        }

    def __enter__(self) -> "RunProgress":
        self._bar.start()
        self._begin("starting the server and the sites", 0)
        return self

    def __exit__(self, *_: object) -> None:
        self._print_held()
        self._bar.stop()

    def show(self, event: Line) -> None:
        """Show one event of the journal."""
        if event["event"] == "end" and event["state"] == "failed":
            # Where a round's failures end the run, its reason has them: once is enough.
            self._held = [
                (reason, line)
                for reason, line in self._held
                if reason is None or reason not in event["reason"]
            ]
        if event["event"] != "exception":
            self._print_held()
        self._bar.update(self._task, note="")
        self._show.get(event["event"], _ignore)(event)

    def _start(self, event: Line) -> None:
        self._first, self._last = event["first_round"], event["last_round"]
        start = Start.model_validate(event)
        self._view, self._personal = views.view(start), bool(start.local)
        self._begin("federation", self._last - self._first + 1)
        sites = ", ".join(event["sites"])
        print_line(
            self._console,
            f"run {event['run']}: {event['strategy']}, rounds {self._first} to {self._last}, "
            f"{start.local_work} each, sites {sites}",
        )
        for text in start.warnings:
            print_line(self._console, text)

    def _site(self, event: Line) -> None:
        text = f"site {event['site']}: {event['state']}"
        if event.get("reason"):
            text += f" ({event['reason']})"
        elif sizes := event.get("examples"):
            text += f" (train {sizes['trainset']}, val {sizes['valset']}, test {sizes['testset']})"
        print_line(self._console, text)

    def _survey(self, event: Line) -> None:
        for text in survey.lines(Surveyed.model_validate(event)):
            print_line(self._console, text)

    def _privacy(self, event: Line) -> None:
        # Of figures that are public, all are of "all sites": the largest is the model's.
        spent = event["training"] + event["evaluations"], event["delta"]
        self._spent[event["site"]] = max(self._spent.get(event["site"], spent), spent)

    def _round(self, event: Line) -> None:
        alone = event["model"] != FEDERATION
        first = 1 if alone else self._first
        self._begin("each site alone" if alone else "federation", self._last - first + 1)
        now = time.monotonic()
        if self._began is None:
            self._began = now - event["seconds"]
        done = event["round"] - first + 1
        self._ends = now + (now - self._began) / done * (self._last - event["round"])
        self._bar.update(self._task, completed=done, ends=self._ends, note="")
        for text in updates.lines(Round.model_validate(event)):
            print_line(self._console, text)
        self._held = [
            (part["reason"], f"round {event['round']}, site {site}: failed ({part['reason']})")
            for site, part in event["sites"].items()
            if not part["ok"]
        ]
        if self._spent and not alone:
            site, (epsilon, delta) = max(self._spent.items(), key=lambda each: each[1])
            told = spent.short(site, epsilon, delta)
            print_line(self._console, f"after round {event['round']:>3}, privacy: {told}")

    def _print_held(self) -> None:
        for _, line in self._held:
            print_line(self._console, line)
        self._held = []

    def _waiting(self, event: Line) -> None:
        line = f"waiting for {', '.join(event['sites']) or 'sites'} until {_until(event)}"
        self._bar.update(self._task, note=line)
        print_line(self._console, line)

    def _paused(self, event: Line) -> None:
        whom = awaited(event["sites"], event["needed"])
        line = f"paused ({event['step']}): waiting for {whom} until {_until(event)}"
        self._bar.update(self._task, note=line)
        print_line(self._console, line)
        for site, reason in event.get("reasons", {}).items():
            print_line(self._console, f"    site {site}: {reason}")

    def _resumed(self, event: Line) -> None:
        paused = event["seconds"]
        if self._began is not None:
            self._began += paused
        if self._ends is not None:
            self._ends += paused
            self._bar.update(self._task, ends=self._ends)
        line = f"going on ({event['step']}) after a pause of {figures.duration(paused)}"
        print_line(self._console, line)

    def _exception(self, event: Line) -> None:
        """Show what stays at a site, except in a run on this machine: the text of an exception."""
        first, *others = event["text"].splitlines()
        lines = [f"    site {event['site']}: {first}", *(f"    {line}" for line in others)]
        text = "\n".join([*lines, f"    full text: {event['log']}"]).expandtabs(4)
        self._held.append((None, text))
        if len(self._held) == 1:  # else after the failures that it explains
            self._print_held()

    def _begin(self, description: str, total: int) -> None:
        """Show another part of the run."""
        if self._description == description:
            return
        if self._description:
            self._bar.remove_task(self._task)
        self._description, self._began, self._ends = description, None, None
        self._task = self._bar.add_task(description, total=total, ends=None, note="")

    def _validation(self, event: Line) -> None:
        view = self._view
        if event["model"] != FEDERATION or not event["sites"] or view is None:
            return
        evaluation = Evaluation.model_validate(event).fitting(view.settings.task)
        if (pooled := evaluation.pooled()) is None:
            return
        found = measured.figures(view, pooled)
        numbers = []
        for name in view.headline:
            if (value := found[name].value) is not None:
                title = figures.inside(view.columns[name].title)
                outside = ", ".join(found[name].without)
                without = f" (without {outside})" if outside else ""
                numbers.append(f"{title} {figures.number(value)}{without}")
        if not view.headline:
            numbers += [f"{name} {figures.number(one)}" for name, one in pooled.metrics.items()]
        told = any(one.loss is not None for one in evaluation.sites.values())
        if told or not numbers:
            numbers.insert(0, f"loss {figures.number(pooled.loss)}")
        self._measured |= evaluation.sites.keys() | evaluation.missing.keys()
        if absent := sorted(self._measured - evaluation.sites.keys()):
            numbers.append(f"without {', '.join(absent)}")
        what = "validation (personal)" if self._personal else "validation"
        print_line(self._console, f"after round {event['round']:>3}, {what}: {', '.join(numbers)}")


def _until(event: Line) -> str:
    """Return until when sites are waited for, in the time zone of this machine."""
    until = datetime.fromisoformat(event["until"])
    return figures.clock(until, "%H:%M %Z", "%Y-%m-%d %H:%M %Z")


def progress_bar(console: Console) -> Progress:
    """Return a bar that a terminal shows, and anything else does not, with the time left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Count(),
        TimeElapsedColumn(),
        _Left(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


class _Count(ProgressColumn):
    """How many of how many, where that is known."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:.0f}/{task.total:.0f}" if task.total else "")


class _Left(ProgressColumn):
    """What is waited for, or how long it takes until the rounds have been run: as of now."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        if note := task.fields.get("note"):
            return Text(note)
        ends = task.fields.get("ends")
        return Text("" if ends is None else left(ends - time.monotonic()))


def left(seconds: float) -> str:
    """Return in words how long something still takes, in a unit that fits."""
    if seconds < 1:
        return ""
    if seconds < 90:
        return f"about {seconds:.0f} s left"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min left"
    return f"about {seconds / 3600:.1f} h left"


def print_line(console: Console, text: str) -> None:
    """Print a text as it stands: without markup, and broken by the terminal only."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _ignore(_event: Line) -> None:
    """Show nothing of an event."""
