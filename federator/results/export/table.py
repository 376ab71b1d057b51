"""The target ``csv``: all numbers of a run in one table, a number a row."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from federator.results.export.measurements import measurements
from federator.results.export.source import Source

FILE = "measurements.csv"
COLUMNS = (
    *("run", "time", "model", "round", "site", "set", "label", "metric"),
    *("value", "low", "high", "without"),
)


def write(source: Source, folder: Path) -> None:
    """Write ``measurements.csv`` (RFC 4180, UTF-8) into a folder.

    Raises:
        OSError: if it cannot be written.
    """
    with (folder / FILE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        table.writerows(_rows(source))


def _rows(source: Source) -> Iterator[Sequence[object]]:
    for one in measurements(source.journal):
        time = one.time.isoformat(timespec="milliseconds")
        yield (
            source.run.resolve().name, time, one.model, one.round, one.site, one.set, one.label,
            one.metric, one.value, one.low, one.high, " ".join(one.without),
        )  # fmt: skip
