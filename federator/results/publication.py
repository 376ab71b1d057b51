"""What may be published of a run at GitHub, for all who can read the repository.

Unless the federation file allows more, figures are pooled over all sites, and only if there are at
least two: of a single site, the pooled figure would be its own. The model is not published.
"""

import json
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from federator.common import figures
from federator.common.text import fenced, page, table
from federator.results import history, report
from federator.results.comparison import compare
from federator.results.findings import findings
from federator.results.history import COMMON, Journal
from federator.results.measured import figures as figures_of
from federator.results.privacy import spent
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import (
    EVENT,
    FILE,
    Evaluation,
    Line,
    Privacy,
    Round,
    SiteReceipt,
    SiteState,
    Start,
    Surveyed,
)
from federator.runtime.server.settings import ServerSettings

TOGETHER = "all sites"
"""What stands for a site in figures of all of them."""
LEAST = 2  # sites: the pooled figure of fewer is one site's
_NUMBER = re.compile(r"\d+([.,]\d+)*(e[+-]?\d+)?")


def public(line: Line, settings: ServerSettings) -> Line | None:
    """Return what of a journal's line may leave, None if nothing may."""
    return line if settings.publish_sites else pooled(line)


def pooled(line: Line) -> Line | None:
    """Return a journal's line without figures of single sites, None if nothing is left of it.

    An event or a field that this version does not know may hold anything: it is left out.
    """
    try:
        event = EVENT.validate_python(line)
    except ValidationError:
        return None
    if isinstance(event, SiteReceipt):  # from a hash of few counts, these can be guessed
        return None
    shown = event.model_dump(mode="json", exclude_unset=True)
    if shown.get("model", FEDERATION) not in COMMON:
        return None
    if isinstance(event, Start):
        shown["sites_withheld"] = True
        shown.pop("by", None)
    elif isinstance(event, SiteState):
        shown.pop("examples", None)
        if event.state == "warned":  # a warning has figures of the site
            shown["reason"] = _NUMBER.sub("…", str(event.reason))
    elif isinstance(event, Surveyed):  # a finding has figures of a site, too
        shown["sites"] = dict.fromkeys(event.sites)
        for found in shown["findings"]:
            found["text"] = _NUMBER.sub("…", found["text"])
    elif isinstance(event, Privacy):  # a site's sample rate tells the size of its set
        shown = {k: v for k, v in shown.items() if k not in ("sample_rate", "noise", "steps")}
        shown["site"] = TOGETHER
    elif isinstance(event, Round):
        shown["sites"] = {
            site: part.model_dump(include={"ok", "reason"}, exclude_unset=True)
            for site, part in event.sites.items()
        }
        if event.unusual:
            shown["unusual"] = {s: _NUMBER.sub("…", why) for s, why in event.unusual.items()}
        if event.masked:  # how many numbers were clipped is a site's figure
            shown["masked"].pop("saturated", None)
    elif isinstance(event, Evaluation):
        try:
            together = event.pooled()
        except ValueError:  # tables that do not add up: of this run, figures of nobody
            return None
        if together is None or len(event.sites) < LEAST:
            return None
        shown["sites"] = {TOGETHER: together.model_dump(exclude_none=True)}
    return shown


def redacted(run: Path, settings: ServerSettings) -> Journal:
    """Return what of a run's journal may leave.

    Raises:
        RunError: if the run has not started.
    """
    with tempfile.TemporaryDirectory() as scratch:
        return write(run, Path(scratch), settings)


def stream(run: Path, settings: ServerSettings) -> None:
    """Write all that may leave to standard output, as a tar: this takes it out of the container.

    In it are ``report/``, ``summary.md`` and, if it may leave, ``model/``.

    Raises:
        RunError: if the run has not started.
    """
    with tempfile.TemporaryDirectory() as scratch:
        journal = write(run, Path(scratch), settings)
        report.write(Path(scratch))
        Path(scratch, "summary.md").write_text(summary(journal), encoding="utf-8")
        with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
            tar.add(Path(scratch, "summary.md"), "summary.md")
            for name in (FILE, report.FILE):
                tar.add(Path(scratch, name), f"report/{name}")
            if journal.state == "finished":
                tar.add(run / "manifest.json", "report/manifest.json")
                if settings.publish_model:
                    tar.add(run / "model.safetensors", "model/model.safetensors")


def summary(journal: Journal) -> str:
    """Summarise a run in Markdown: how it ended, how good its model is, which sites are missing."""
    start, trained, end = journal.start, journal.trained(), journal.end
    ended = journal.state.capitalize() if end else "Not ended"
    after = f" after round {trained[-1].round}" if trained else ""
    absent = [f"{site}: {why}" for site, why in _absent(journal).items()]
    return page(
        f"## {start.federation}: rounds {start.first_round} to {start.last_round}",
        f"**{ended}{after}.** Run {start.run}, {start.strategy}, {start.local_work} in each.",
        fenced(end.reason) if end and end.reason else "",
        _findings(journal),
        _local(journal),
        _privacy(journal),
        _tests(journal),
        _curve(journal),
        f"Sites that did not join:\n\n{fenced(chr(10).join(absent))}" if absent else "",
    )


def _findings(journal: Journal) -> str:
    found = "\n".join(map(str, findings(journal)))
    return f"To know before the figures:\n\n{fenced(found)}" if found else ""


def _local(journal: Journal) -> str:
    """Say which tensors stay at the sites: what they evaluate is more than the final model."""
    if not journal.start.local:
        return ""
    names = ", ".join(f"`{pattern}`" for pattern in journal.start.local)
    return (
        f"Tensors that stay at the sites: {names}. Each site evaluates its personal model, which "
        "is the shared tensors and its own; `model.safetensors` has the shared ones only."
    )


def _privacy(journal: Journal) -> str:
    """Lay out what each site has spent of its privacy budget, and what epsilon does not cover."""
    if not (rows := spent.rows(journal)):
        return ""
    lines = [
        [row.site, *(f"{n:.2f}" for n in (row.training, row.evaluations, row.epsilon)),
         f"{row.delta:g}"]
        for row in rows
    ]  # fmt: skip
    head = ["Privacy", " Training", " Evaluations", " Epsilon", " Delta"]
    return f"{table(head, lines)}\n\nNot covered: {'; '.join(spent.UNCOVERED)}."


def _tests(journal: Journal) -> str:
    groups = {TOGETHER: compare(journal)}
    groups |= {site: compare(journal, site, (*COMMON, site)) for site in journal.sites}
    columns = journal.view.columns
    head = ["Test data", "Model", " n", *(f" {column.title}" for column in columns.values())]
    lines = [
        [where, row.name, str(row.result.examples)]
        + [figures.number(row.figures[name].value) for name in columns]
        for where, rows in groups.items()
        for row in rows
    ]
    return table(head, lines) if lines else "No model has been tested."


def _curve(journal: Journal) -> str:
    lines = []
    for each in journal.curve(FEDERATION):
        if each.round + 1 >= journal.start.first_round and (pooled := each.pooled()):
            found = figures_of(journal.view, pooled)
            values = (pooled.loss, *(found[name].value for name in journal.view.headline))
            lines.append([str(each.round), *map(figures.number, values)])
    titles = [journal.view.columns[name].title for name in journal.view.headline]
    head = ["After round", " Loss", *(f" {title}" for title in titles)]
    return f"On all validation sets together:\n\n{table(head, lines)}" if lines else ""


def _absent(journal: Journal) -> dict[str, str]:
    """Return the sites whose last word, or lack of one, is not that they joined."""
    began = journal.start.time
    last = {s.site: s for s in journal.states if s.time >= began and s.state != "warned"}
    return {
        site: f"{state.state} ({state.reason})"
        for site, state in last.items()
        if state.state not in ("joined", "restarted")
    }


def write(run: Path, folder: Path, settings: ServerSettings) -> Journal:
    """Write what of a run's journal may leave into a folder; return it.

    Raises:
        RunError: if the run has not started.
    """
    shown = [line for event in _events(run) if (line := public(event, settings))]
    if not settings.publish_sites:  # of the privacy budgets, the largest: the model's
        spent = [line for line in shown if line["event"] == "privacy"]
        largest = max(spent, key=lambda line: line["training"] + line["evaluations"], default=None)
        shown = [line for line in shown if line["event"] != "privacy" or line is largest]
    (folder / FILE).write_text("".join(f"{json.dumps(line)}\n" for line in shown), "utf-8")
    return history.read(folder)


def _events(run: Path) -> Iterator[Line]:
    """Return the journal's events, without lines that are not complete."""
    for line in (run / FILE).read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError):
            yield json.loads(line)
