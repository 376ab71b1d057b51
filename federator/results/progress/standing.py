"""Where a run stands, by its events: who is there, who is waited for, the rounds, what failed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from federator.common import figures
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import Line


@dataclass
class SiteStanding:
    """Where one site stands.

    Attributes:
        name: the site.
        state: "not here yet", "joined", "waited for", or the journal's word for what is wrong.
        reason: why, if something is wrong.
        examples: the size of each of its sets, as it said when it joined.
        round: the last round that it delivered.
        seconds: how long that took.
    """

    name: str
    state: str = "not here yet"
    reason: str = ""
    examples: dict[str, int] = field(default_factory=dict)
    round: int | None = None
    seconds: float | None = None


class Standing:
    """Where a run stands.

    Attributes:
        federation: its name, empty until the run has started.
        run: the run's name.
        state: starting | running | paused | finished | stopped | failed.
        reason: why it ended so.
        alone: whether each site now trains alone, to compare.
        first, last, round: the rounds of this part of the run, and the last that was run.
        sites: each site.
        until: if sites are waited for, until when.
        needed: how many of them have to come, if the run is paused.
        ends: when the rounds will have been run, if that can be told.
        heard: the time of the last event.
        failures: what failed, in the order of time.
    """

    def __init__(self) -> None:
        self.federation = self.run = self.reason = ""
        self.state = "starting"
        self.alone = False
        self.first, self.last, self.round = 1, 0, 0
        self.sites: dict[str, SiteStanding] = {}
        self.until: datetime | None = None
        self.needed = 0
        self.ends: datetime | None = None
        self.heard: datetime | None = None
        self.failures: list[str] = []
        self._began: datetime | None = None
        self._take: dict[str, Callable[[Line], None]] = {
            "start": self._start,
            "site": self._site,
            "waiting": self._waiting,
            "paused": self._paused,
            "resumed": self._resumed,
            "round": self._round,
            "exception": self._exception,
            "end": self._end,
        }

    def take(self, event: Line) -> None:
        """Take in one event of the journal."""
        if "time" in event:
            self.heard = datetime.fromisoformat(event["time"])
        passes = self.state != "paused" or event["event"] in ("resumed", "start", "end")
        if passes and event["event"] != "waiting" and event["event"] in self._take:
            self.until, self.needed = None, 0
            for site in self.sites.values():
                if site.state == "waited for":
                    site.state = "joined" if site.examples else "not here yet"
        self._take.get(event["event"], _ignore)(event)

    def close(self) -> None:
        """Take in that nothing more comes; a run without an end was stopped."""
        if self.is_open:
            self.state = "stopped"

    @property
    def is_open(self) -> bool:
        """Whether the run has no end."""
        return self.state in ("starting", "running", "paused")

    @property
    def waiting(self) -> list[str]:
        """The sites that are waited for."""
        return [site.name for site in self.sites.values() if site.state == "waited for"]

    @property
    def connected(self) -> list[str]:
        """The sites that have joined, and are neither waited for nor in trouble."""
        return [site.name for site in self.sites.values() if site.state == "joined"]

    @property
    def headline(self) -> str:
        """The state in one line."""
        if not self.federation:
            starting = self.state == "starting"
            return "Starting the server and the sites" if starting else "The run has not started"
        alone = ", each site alone" if self.alone else ""
        text = (
            f"{self.federation} {self.run}: {self.state}, round {self.round} of {self.last}{alone}"
        )
        if self.until is not None:
            who = awaited(self.waiting, self.needed)
            text += f", waiting for {who} until {_clock(self.until)}"
        elif self.ends is not None and self.state == "running":
            text += f", rounds run at about {_clock(self.ends)}"
        return text

    def _start(self, event: Line) -> None:
        self.federation, self.run = event["federation"], event["run"]
        self.first, self.last = event["first_round"], event["last_round"]
        self.state, self.reason, self.round = "running", "", self.first - 1
        self.alone, self._began, self.ends = False, None, None
        self.sites = {name: SiteStanding(name) for name in event["sites"]}

    def _site(self, event: Line) -> None:
        site = self._of(event["site"])
        if event["state"] != "warned":
            site.state = event["state"]
        site.reason = event.get("reason") or ""
        site.examples = event.get("examples") or site.examples
        if event["state"] not in ("joined", "warned"):
            self.failures.append(f"site {site.name}: {site.state} {_why(site.reason)}".rstrip())

    def _waiting(self, event: Line) -> None:
        self.until = datetime.fromisoformat(event["until"])
        for name in event["sites"]:
            self._of(name).state = "waited for"

    def _paused(self, event: Line) -> None:
        self._waiting(event)
        self.state, self.needed = "paused", event["needed"]
        for name, reason in event.get("reasons", {}).items():
            self._of(name).reason = reason

    def _resumed(self, event: Line) -> None:
        paused = timedelta(seconds=event["seconds"])
        self.state = "running"
        self._began = self._began and self._began + paused
        self.ends = self.ends and self.ends + paused

    def _round(self, event: Line) -> None:
        time = datetime.fromisoformat(event["time"])
        if (event["model"] != FEDERATION) != self.alone:
            self.alone, self.first, self._began = not self.alone, 1, None
        if self._began is None:
            self._began = time - timedelta(seconds=event["seconds"])
        self.round = event["round"]
        done, left = self.round - self.first + 1, self.last - self.round
        self.ends = time + (time - self._began) / done * left
        for name, part in event["sites"].items():
            site = self._of(name)
            if part["ok"]:
                site.state, site.reason = "joined", ""
                site.round, site.seconds = self.round, part.get("seconds")
            else:
                site.state, site.reason = "failed", part.get("reason") or ""
                self.failures.append(f"round {self.round}, site {name}: failed {_why(site.reason)}")

    def _exception(self, event: Line) -> None:
        self.failures.append(f"site {event['site']}: {event['text']}\nfull text: {event['log']}")

    def _end(self, event: Line) -> None:
        self.state, self.reason = event["state"], event.get("reason") or ""

    def _of(self, name: str) -> SiteStanding:
        return self.sites.setdefault(name, SiteStanding(name))


def awaited(sites: Sequence[str], needed: int = 0) -> str:
    """Return in words which sites are waited for: all of them, or so many as are ``needed``."""
    names = ", ".join(sites) or "sites"
    return f"{needed} of {names}" if 0 < needed < len(sites) else names


def _why(reason: str) -> str:
    return f"({reason})" if reason else ""


def _clock(time: datetime) -> str:
    return figures.clock(time, "%H:%M:%S %Z", "%Y-%m-%d %H:%M %Z")


def _ignore(_event: Line) -> None:
    """Learn nothing of an event."""
