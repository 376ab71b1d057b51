"""Where a run stands, as OpenMetrics: what Prometheus and others scrape.

The format: https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import isfinite

from federator.results.drawing import charts
from federator.results.history import Journal
from federator.results.privacy import spent
from federator.results.watch.following import Following
from federator.runtime.protocol.instructions import FEDERATION

TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_Sample = tuple[Mapping[str, str], float]


def text(following: Following) -> str:
    """Return the metrics of a run by now; a metric that is not known is left out."""
    return "".join(f"{line}\n" for line in (*_lines(following), "# EOF"))


def _lines(following: Following) -> Iterator[str]:
    standing, journal = following.standing, following.journal
    named = {"federation": standing.federation, "run": standing.run}
    if standing.federation:
        yield from _family("run", "info", "The run that is told of.", [(named, 1)])
    known = ("starting", "running", "paused", "finished", "stopped", "failed")
    states = dict.fromkeys((*known, standing.state))
    yield from _family(
        "state", "stateset", "Whether the run goes on, or how it ended.",
        [({"federator_state": one}, one == standing.state) for one in states],
    )  # fmt: skip
    yield from _family("rounds", "gauge", "Rounds that are ordered in all.", [({}, standing.last)])
    sites = Counter(site.state for site in standing.sites.values())
    yield from _family(
        "sites", "gauge", "Sites by their state.", [({"state": s}, n) for s, n in sites.items()]
    )
    yield from _time("waiting_until", "When it ends that sites are waited for.", standing.until)
    yield from _time("heard", "When the journal was last written to.", standing.heard)
    yield from _family("failures", "gauge", "What failed so far.", [({}, len(standing.failures))])
    if journal is not None:
        yield from _of_rounds(journal)
        yield from _of_validation(journal)
        yield from _of_privacy(journal)
    if following.traffic.down:
        yield from _family(
            "traffic_bytes", "counter", "What the rounds sent to all sites, and received.",
            [({"direction": "down"}, following.traffic.down),
             ({"direction": "up"}, following.traffic.up)],
        )  # fmt: skip


def _of_rounds(journal: Journal) -> Iterator[str]:
    trained = journal.trained()
    done = trained[-1].round if trained else 0
    yield from _family("rounds_done", "gauge", "The last round that ended.", [({}, done)])
    if trained:
        yield from _family(
            "round_duration_seconds", "gauge", "How long the last round took.",
            [({}, trained[-1].seconds)],
        )  # fmt: skip


def _of_validation(journal: Journal) -> Iterator[str]:
    curve = journal.curve(FEDERATION)
    found = {title: one.value for title, one in charts.latest(journal).items()}
    samples = [({"figure": title}, one) for title, one in found.items() if one is not None]
    if samples:
        meaning = "Of the last round's model, on all sites' validation sets together."
        yield from _family("validation", "gauge", meaning, samples)
        meaning = "The round that it is of."
        yield from _family("validation_round", "gauge", meaning, [({}, curve[-1].round)])


def _of_privacy(journal: Journal) -> Iterator[str]:
    if (most := spent.largest(journal)) is not None:
        meaning = "What the model and all else that left has cost: epsilon, the largest of sites."
        yield from _family("privacy_epsilon", "gauge", meaning, [({}, most.epsilon)])
        yield from _family("privacy_delta", "gauge", "The delta of that.", [({}, most.delta)])


def _time(name: str, meaning: str, time: datetime | None) -> Iterator[str]:
    if time is not None:
        full = f"{name}_timestamp_seconds"
        yield from _family(full, "gauge", meaning, [({}, round(time.timestamp(), 3))])


def _family(name: str, kind: str, meaning: str, samples: Sequence[_Sample]) -> Iterator[str]:
    """Yield the lines of a metric: what it is, then its samples that are numbers."""
    full = f"federator_{name}"
    finite = [(labels, value) for labels, value in samples if isfinite(value)]
    if not finite:
        return
    yield f"# TYPE {full} {kind}"
    if unit := next((unit for unit in ("seconds", "bytes") if name.endswith(f"_{unit}")), None):
        yield f"# UNIT {full} {unit}"
    yield f"# HELP {full} {meaning.translate(_ESCAPES)}"
    suffix = {"counter": "_total", "info": "_info"}.get(kind, "")
    for labels, value in finite:
        inside = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in labels.items())
        yield f"{full}{suffix}{f'{{{inside}}}' if inside else ''} {float(value):.17g}"
