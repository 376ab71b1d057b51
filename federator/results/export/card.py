"""The model card of a run, in Markdown with Hugging Face's front matter.

The fields of the front matter: https://huggingface.co/docs/hub/model-cards. What no journal knows
(the intended use, what limits it) is left to the author, and marked.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from federator.common import figures, git
from federator.common.templates import Templates
from federator.common.text import escaped, table
from federator.errors import FederatorError, InputError, Problem
from federator.results import history
from federator.results.comparison import Row, compare
from federator.results.export.measurements import pooled
from federator.results.export.source import MODEL, Source
from federator.results.findings import findings
from federator.results.history import COMMON
from federator.results.measured import Figures, parts
from federator.results.privacy import spent
from federator.results.publication import LEAST, TOGETHER
from federator.results.report import SETS
from federator.results.tasks.base import Figure, with_interval
from federator.results.updates import site_privacy
from federator.runtime.files import file_sha256, write
from federator.runtime.protocol.instructions import FEDERATION

TO_FILL_IN = "**TO FILL IN**"
"""Marks what the author has to write."""


@dataclass(frozen=True)
class Card:
    """A model card.

    Attributes:
        text: Markdown.
    """

    text: str

    @property
    def open(self) -> int:
        """How many places the author has to fill in."""
        return self.text.count(TO_FILL_IN)


def card(source: Source) -> Card:
    """Return the model card of a run.

    Raises:
        InputError: if the run has not finished, so that it has no final model.
    """
    if source.model is None:
        raise InputError(Problem(
            f"{source.run}: has no final model, since the run is {source.journal.state}",
            hint="go on with it: federator run --resume",
        ))  # fmt: skip
    journal = source.journal
    rows = compare(journal, models=COMMON)
    text = Templates().fill(
        "report/card.md",
        journal=journal,
        start=journal.start,
        end=journal.end,
        rounds=len(journal.trained()),
        names=journal.sites if source.settings.publish_sites else [],
        labels=", ".join(map(escaped, journal.start.labels)),
        metrics=list(_metrics(rows)),
        data=_data(source),
        tested=_tested(source),
        by_label=_by_label(source),
        caption=escaped(journal.view.caption),
        findings=[_unnamed(str(one), source) for one in findings(journal)],
        privacy=[
            _unnamed(one, source) for one in (*spent.sentences(journal), *site_privacy(journal))
        ],
        uncovered=spent.UNCOVERED,
        provenance=list(_provenance(source)),
        TO_FILL_IN=TO_FILL_IN,
    )
    return Card(text)


def save(made: Card, path: Path, overwrite: bool = False) -> None:
    """Write a card to a file.

    Raises:
        InputError: if there is one, which the author may have filled in.
        FederatorError: if it cannot be written.
    """
    if path.exists() and not overwrite:
        hint = "what was filled in would be lost: replace it by --overwrite, or see --output"
        raise InputError(Problem(f"{path}: is there already", hint=hint))
    try:
        write(path, made.text)
    except OSError as error:
        raise FederatorError(f"{path}: cannot be written: {error.strerror}") from None


def _metrics(rows: list[Row]) -> Iterator[tuple[str, float]]:
    """Yield what the common model reached on all test sets, for the front matter."""
    for row in rows:
        if row.model == FEDERATION:
            for name, figure in row.figures.items():
                if figure.value is not None:
                    yield name, round(figure.value, 4)


def _data(source: Source) -> str:
    """Lay out how many examples there were, by set; of a single site only if that may be shown."""
    sizes = history.read(source.run).examples()
    rows = []
    if len(sizes) >= LEAST:
        rows.append([TOGETHER, *(str(sum(s.get(key, 0) for s in sizes.values())) for key in SETS)])
    if source.settings.publish_sites:
        rows += [
            [escaped(site), *(str(one.get(k, 0)) for k in SETS)] for site, one in sizes.items()
        ]
    return table(["Site", *(f" {title}" for title in SETS.values())], rows) if rows else ""


def _tested(source: Source) -> str:
    journal = source.journal
    groups = {TOGETHER: compare(journal, models=COMMON)}
    if source.settings.publish_sites:
        groups |= {site: compare(journal, site, COMMON) for site in journal.sites}
    columns = journal.view.columns
    rows = [
        [escaped(where), row.name, str(row.result.examples), figures.number(row.result.loss)]
        + [with_interval(row.figures[name]) for name in columns]
        + [figures.number(one) for one in row.result.metrics.values()]
        for where, found in groups.items()
        for row in found
    ]
    own = [name for row in groups[TOGETHER][:1] for name in row.result.metrics]
    head = ["Test data", "Model", " n", " Loss", *(f" {one.title}" for one in columns.values())]
    return table([*head, *(f" {escaped(name)}" for name in own)], rows) if rows else ""


def _by_label(source: Source) -> str:
    """Lay out the figures of each label of several, of the common model on all test sets."""
    view, tested = source.journal.view, source.journal.tests.get(FEDERATION)
    together = pooled(tested) if tested else None
    found: dict[str, Figures] = parts(view, together) if together else {}
    columns = view.columns
    rows = [
        [escaped(name), *(with_interval(each.get(key, Figure(None))) for key in columns)]
        for name, each in found.items()
    ]
    return table([view.part, *(f" {one.title}" for one in columns.values())], rows) if rows else ""


def _unnamed(text: str, source: Source) -> str:
    """Return a sentence, without the names of sites where these are not published."""
    if not source.settings.publish_sites:
        names = "|".join(re.escape(name) for name in source.journal.sites)
        text = re.sub(rf"(?<![\w-])({names})(?![\w-])", "a site", text) if names else text
    return escaped(text)


def _provenance(source: Source) -> Iterator[tuple[str, str]]:
    """Yield what the model was made from, and by what."""
    start, federation = source.journal.start, source.federation
    yield "Run", f"{start.run} of the federation {start.federation}"
    if federation is not None:
        yield "Notebook", f"`{federation.notebook.name}`"
        if commit := git.ask(federation.root, "rev-parse", "HEAD"):
            changed = git.ask(federation.root, "status", "--porcelain", "--untracked-files=no")
            also = ", with changes that are not committed" if changed else ""
            yield "Commit of the repository when this card was written", f"`{commit}`{also}"
    if told := source.manifest.get("app_hash"):
        same = "" if source.app is None else "; `build/` has this app still"
        yield "SHA-256 of the Flower App that the sites ran", f"`{told}`{same}"
    if source.model is not None:
        yield f"SHA-256 of `{MODEL}`", f"`{file_sha256(source.model)}`"
    yield "Versions", ", ".join(f"{name} {one}" for name, one in start.versions.items()) or "–"
