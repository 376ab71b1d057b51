"""The survey of a run's data in words and tables: what each site told, and what is odd."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from federator.common import figures
from federator.results.history import Journal
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.protocol.survey import SETS, Survey
from federator.runtime.server.journal import Surveyed
from federator.runtime.server.survey.channels import channels

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 8  # channels or columns
_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Row:
    """One site's data, as it told of them; a dash stands for what it did not tell.

    Attributes:
        site: its name.
        examples: by set, the size and the counts of the labels.
        inputs: type and shape of an example's inputs.
        targets: the same of its labels or targets.
        channels: mean and deviation of each, and the histogram of the examples' means.
        missing: examples with missing values, by channel where there are any.
    """

    site: str
    examples: dict[str, str]
    inputs: str
    targets: str
    channels: list[tuple[str, str]]
    missing: str


def lines(told: Surveyed) -> Iterator[str]:
    """Yield what the terminal shows of a survey: who told, and each finding with its remedy."""
    silent = sorted(site for site, one in told.sites.items() if one is None)
    asked = len(told.sites) - len(silent)
    found = f"{len(told.findings)} finding{'s' if len(told.findings) != 1 else ''}"
    without = f" ({', '.join(silent)}: nothing told)" if silent else ""
    yield f"survey of the data of {asked} site{'s' if asked != 1 else ''}{without}: {found}"
    for one in told.findings:
        yield f"    {', '.join(one.sites)}: {one.kind}: {one.text}"
        yield f"        {one.remedy}"


def rows(journal: Journal) -> list[Row]:
    """Return a row for each site that told of its data."""
    sites = journal.survey.sites if journal.survey else {}
    sizes, labels = journal.examples(), journal.start.labels
    return [
        Row(
            site,
            {part: _examples(one, part, labels, sizes.get(site, {})) for part in SETS},
            _form(one.dtype, one.shape),
            _form(one.target_dtype, one.target_shape),
            _channels(one),
            _missing(one),
        )
        for site, one in sorted(sites.items())
        if one is not None
    ]


def table(journal: Journal) -> "Table":
    """Lay out the rows for the terminal: a column for each site."""
    from rich.table import Table
    from rich.text import Text

    shown = rows(journal)
    laid = Table(title="The sites' data", title_style="bold", title_justify="left")
    laid.add_column("")
    for row in shown:
        laid.add_column(row.site)
    entries = {
        **{SET_NAMES[part]: [row.examples[part] for row in shown] for part in SETS},
        "inputs": [row.inputs for row in shown],
        "labels or targets": [row.targets for row in shown],
        "mean ± deviation": ["\n".join(text for text, _ in row.channels) or "–" for row in shown],
        "missing values": [row.missing for row in shown],
    }
    for name, cells in entries.items():
        laid.add_row(Text(name), *map(Text, cells))
    return laid


def _examples(one: Survey, part: str, labels: list[str], sizes: dict[str, int]) -> str:
    size = sizes.get(f"{part}set", 0)
    text = f"{size}, read in part" if part in one.partial else str(size)
    counts = one.tables.get(f"labels.{part}")
    if counts is None or len(counts[-1]) != len(labels):
        return text if size else "–"
    named = ", ".join(f"{n:.0f} {label}" for n, label in zip(counts[-1], labels, strict=True))
    return f"{text}: {named}"


def _form(dtype: str, shape: tuple[int, ...]) -> str:
    sizes = ", ".join(str(size) if size else "any" for size in shape)
    return " ".join(filter(None, (dtype, f"({sizes})" if sizes else ""))) or "–"


def _channels(one: Survey) -> list[tuple[str, str]]:
    found = []
    known = channels(one)
    for number, channel in sorted(known.items())[:_SHOWN]:
        mean, deviation = figures.number(channel.mean), figures.number(channel.deviation)
        counts = one.tables.get(f"intensity.{number}")
        found.append((f"{number}: {mean} ± {deviation}", _bars(counts[0]) if counts else ""))
    if len(known) > _SHOWN:
        found.append((f"and {len(known) - _SHOWN} more", ""))
    return found


def _bars(counts: Sequence[float]) -> str:
    """Draw a histogram in one line of text, from the first to the last bin that is not empty."""
    filled = [place for place, count in enumerate(counts) if count]
    if len(filled) < 2:
        return ""
    most = max(counts)
    return "".join(
        _BARS[min(len(_BARS) - 1, int(count / most * len(_BARS)))] if count else " "
        for count in counts[filled[0] : filled[-1] + 1]
    )


def _missing(one: Survey) -> str:
    found = {number: rows[0][1] for number, rows in sorted(one.numbered("missing").items())}
    named = [f"{number}: {count:.0f}" for number, count in found.items() if count]
    return ", ".join(named[:_SHOWN]) or ("none" if found else "–")
