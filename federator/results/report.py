"""The report of a run: the comparison of its models in the terminal, and ``report.html``.

Whatever a site wrote (names, reasons) is escaped, and the page forbids itself every request and
every script by its own Content-Security-Policy: it may be mailed and opened anywhere.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2

from federator.common import figures
from federator.common.templates import shipped
from federator.results import measured, survey
from federator.results.comparison import compare
from federator.results.drawing import charts, plots
from federator.results.findings import findings
from federator.results.history import COMMON, Journal, read
from federator.results.privacy import spent
from federator.results.site_differences import differences
from federator.runtime import files
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.weights.encoding import MASKED, is_exact

if TYPE_CHECKING:
    from rich.table import Table

FILE = "report.html"
MANY_SITES = 6  # of more, the page does not test every model at every site
SHOWN = 8  # findings on the first screen
SETS = {"trainset": "Training", "valset": "Validation", "testset": "Test"}


@dataclass(frozen=True)
class Failure:
    """Something that went wrong, when, at which site (None: the run), and why."""

    time: datetime
    site: str | None
    what: str
    reason: str | None


def write(run: Path) -> Path:
    """Write ``report.html`` of the run in folder ``run``, finished or not, and return its path.

    Raises:
        RunError: if the folder has no journal of a run that has started.
    """
    journal = read(run)
    made = templates()
    many = len(journal.sites) > MANY_SITES
    css = made.get_template("report.css").render()
    page = made.get_template("report.html.j2").render(
        journal=journal,
        css=css,
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        rows=compare(journal),
        at_sites={
            site: rows
            for site in journal.sites
            if (rows := compare(journal, site, (*COMMON, site) if many else ()))
        },
        findings=findings(journal),
        learning=charts.learning(journal),
        measured=charts.measured(journal),
        alone=charts.alone(journal),
        tests=charts.tests(journal),
        without=charts.without(journal),
        view=journal.view,
        derive=measured,
        differences=[] if journal.start.sites_withheld else differences(journal),
        pooling=journal.tests[FEDERATION].pooling if FEDERATION in journal.tests else {},
        seconds=charts.seconds(journal),
        saved=_saved(journal),
        surveyed=survey.rows(journal),
        spent=spent,
        failures=_failures(journal),
        many=many,
        FEDERATION=FEDERATION,
        SETS=SETS,
        SHOWN=SHOWN,
        plots=plots,
    )
    files.write(run / FILE, page)
    return run / FILE


def comparison_table(journal: Journal) -> "Table":
    """Lay out the comparison of the models on test data for the terminal.

    First every model over all sites' test sets together; then, for each site's test set, the
    federation's model and the one that this site trained alone.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=f"{journal.start.federation} {journal.start.run}: test data", box=box.SIMPLE
    )
    table.collapse_padding, table.pad_edge = True, False
    table.add_column("Test set, model")
    # A terminal is 80 wide: the columns that depend on bins stand in the page.
    columns = {name: one for name, one in journal.view.columns.items() if not one.table}
    for column in columns.values():
        table.add_column(column.short or column.title, justify="right", no_wrap=True)
    groups = [("all sites", compare(journal))]
    groups += [(site, compare(journal, site, (*COMMON, site))) for site in journal.sites]
    for where, rows in groups:
        if rows:
            table.add_row(Text(f"{where} (n = {rows[0].result.examples})", style="bold"))
        for row in rows:
            cells = [Text(f"  {row.name}{' †' if row.missing else ''}")]
            for name in columns:
                best = name in row.best
                text = figures.number(row.figures[name].value) + ("*" if best else " ")
                cells.append(Text(text, style="bold" if best else ""))
            table.add_row(*cells, end_section=row is rows[-1])
    every = [row for _, rows in groups for row in rows]
    notes = {
        "No model has been tested.": not every,
        "* best of its column and test set": any(row.best for row in every),
        "† not tested at every site, so not compared": any(row.missing for row in every),
        "personal: the shared tensors, in model.safetensors, and each site's own": bool(
            journal.start.local
        ),
        "No site trained alone: set `baselines: true` to compare.": not (
            journal.start.baselines or journal.start.encoding == MASKED
        ),
    }
    table.caption = "\n".join(note for note, applies in notes.items() if applies)
    return table


def _saved(journal: Journal) -> dict[str, dict[str, int]]:
    """Return the bytes that did not travel in training, by what saved them and by site."""
    known, encoded = (dict.fromkeys(journal.sites, 0) for _ in range(2))
    for done in journal.trained():
        for site, part in done.sites.items():
            if part.ok:
                carried = part.bytes_down + part.bytes_up + part.bytes_known
                known[site] += part.bytes_known
                encoded[site] += max(0, 2 * (journal.start.model_bytes or 0) - carried)
    found = {"Not sent again": known}
    if not is_exact(journal.start.encoding):
        found[f"Saved by {journal.start.encoding}"] = encoded
    return {title: by_site for title, by_site in found.items() if any(by_site.values())}


def _failures(journal: Journal) -> list[Failure]:
    """List what went wrong, in the order of time."""
    found = [
        Failure(state.time, state.site, state.state, state.reason)
        for state in journal.states
        if state.state not in ("joined", "warned")
    ]
    for done in journal.rounds.values():
        what = f"round {done.round}" + ("" if done.model == FEDERATION else ", training alone")
        found += [
            Failure(done.time, site, what, part.reason)
            for site, part in done.sites.items()
            if not part.ok
        ]
    found += [
        Failure(end.time, None, end.state, end.reason)
        for end in journal.ends
        if end.state != "finished"
    ]
    return sorted(found, key=lambda failure: failure.time)


@cache
def templates() -> jinja2.Environment:
    """Return the templates of the report, and of what Jupyter shows of a run."""
    folder = shipped().joinpath("report")
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["intervals"] = lambda found: [
        each for each in found.values() if each.low is not None
    ]
    for written in (figures.duration, figures.model, figures.number, figures.size):
        made.filters[written.__name__] = written
    return made
