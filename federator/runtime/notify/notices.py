"""What is told of a run, and in which words: each event once, and no figure of a site.

A site that stays away is told once; so is its return. Why it failed is told only where figures of
single sites may be shown: an error's text may hold some.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from federator.runtime.protocol.instructions import FEDERATION

EVENTS = ("site", "quorum", "end", "expiry")
"""What can be told: a site left or is back, too few sites, a run's end, a key that ends soon."""
_ABSENT = ("missing", "outdated", "refused", "failed")  # a site's states in a journal

Line = dict[str, Any]


@dataclass(frozen=True)
class Notice:
    """Something to tell.

    Attributes:
        event: one of :data:`EVENTS`.
        federation: the federation's name.
        text: one sentence or two.
        run: the run's name; empty if it concerns none.
        site: the site that it is about; empty if it is about none.
        time: when it happened (ISO 8601); empty if nobody knows.
    """

    event: str
    federation: str
    text: str
    run: str = ""
    site: str = ""
    time: str = ""

    @property
    def subject(self) -> str:
        """A line that says which federation it is about, and what."""
        return f"{self.federation}: {self.text.partition('.')[0].partition(';')[0]}"

    def fields(self) -> dict[str, str]:
        """Return it as a webhook is sent it; ``text`` is what chat programs show."""
        told = asdict(self)
        return {**told, "text": f"{self.federation}: {self.text}"}


class RunNotices:
    """What is told of one run, event by event.

    Args:
        quorum: how many sites a round needs.
        reasons: whether it may be told why something failed.
    """

    def __init__(self, quorum: int, reasons: bool) -> None:
        self._quorum, self._reasons = quorum, reasons
        self._federation = self._run = ""
        self._away: set[str] = set()
        self._too_few = False

    def take(self, line: Line) -> Iterator[Notice]:
        """Yield what is to be told of an event of the journal."""
        kind, time = line.get("event"), str(line.get("time", ""))
        for event, site, text in {
            "start": self._start,
            "site": self._site,
            "round": self._round,
            "paused": self._paused,
            "resumed": self._resumed,
            "end": self._end,
        }.get(str(kind), _nothing)(line):
            yield Notice(event, self._federation, text, self._run, site, time)

    def _start(self, line: Line) -> Iterator[tuple[str, str, str]]:
        self._federation, self._run = line["federation"], line["run"]
        self._too_few = False
        yield from ()

    def _site(self, line: Line) -> Iterator[tuple[str, str, str]]:
        site, state = line["site"], line["state"]
        if state in _ABSENT and site not in self._away:
            why = "it did not connect" if state == "missing" else f"it is {state}"
            yield self._left(site, f"{why}{self._why(line)}")
        elif state in ("joined", "restarted"):
            yield from self._back(site, "it has joined")

    def _round(self, line: Line) -> Iterator[tuple[str, str, str]]:
        if line["model"] != FEDERATION:
            return
        number, parts = line["round"], line["sites"]
        for site, part in parts.items():
            if part["ok"]:
                yield from self._back(site, f"it delivered in round {number}")
            elif site not in self._away:
                yield self._left(site, f"it failed in round {number}{self._why(part)}")
        delivered = sum(part["ok"] for part in parts.values())
        if delivered < self._quorum and not self._too_few:
            yield "quorum", "", f"round {number} had {delivered} sites and needs {self._quorum}"
        self._too_few = delivered < self._quorum

    def _paused(self, line: Line) -> Iterator[tuple[str, str, str]]:
        if not self._too_few:
            needs = f"{line['step']} needs {line['needed']} of {', '.join(line['sites'])}"
            yield "quorum", "", f"the run is paused: {needs}; it waits until {line['until']}"
        self._too_few = True

    def _resumed(self, line: Line) -> Iterator[tuple[str, str, str]]:
        self._too_few = False
        yield "quorum", "", f"enough sites are there again: the run goes on with {line['step']}"

    def _end(self, line: Line) -> Iterator[tuple[str, str, str]]:
        after = f" after round {line['round']}" if line.get("round") else ""
        yield "end", "", f"run {self._run} has {_ENDED[line['state']]}{after}{self._why(line)}"

    def _left(self, site: str, why: str) -> tuple[str, str, str]:
        self._away.add(site)
        return "site", site, f"site {site} dropped out; {why}"

    def _back(self, site: str, why: str) -> Iterator[tuple[str, str, str]]:
        if site in self._away:
            self._away.remove(site)
            yield "site", site, f"site {site} is back; {why}"

    def _why(self, line: Line) -> str:
        reason = line.get("reason")
        return f" ({reason})" if reason and self._reasons else ""


_ENDED = {"finished": "finished", "failed": "failed", "stopped": "been stopped"}


def _nothing(_line: Line) -> Iterator[tuple[str, str, str]]:
    yield from ()
