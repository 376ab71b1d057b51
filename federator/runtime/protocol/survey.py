"""What a site tells of its data before anything is trained: counts and rounded figures.

This is the whole list of what leaves of a survey. Counts obey the site's minimum cell count as
those of an evaluation do (evaluation/tables.py). Figures are rounded to steps that are larger
than what one example changes, so that two surveys do not show the example by which they differ.
How records are recognised at two sites: docs/threat-model.md.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from federator.runtime.protocol.evaluation.labels import DTYPES, FORMS
from federator.runtime.protocol.evaluation.tables import Form, Table, Tables, bins
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.untrusted import MALFORMED, read_json

SETS = tuple(SET_NAMES)
CHANNELS = 64  # that are told: channels of an image, or columns of a table
LABELLED = 512  # figures of a channel by label: so many in all
# Projections of a set's records, at most one for two records: as rounded (worker/survey), each
# tells 1.3 bits of the whole set, so that 0.7 bits are told of a record.
SKETCHES = (32, 64, 128, 256)
RECORDS_PER_PROJECTION = 2
INTENSITIES = 64  # bins: octaves from a thousandth up, 32 for either sign
_LEAST = -10  # exponent of two of the smallest

FIGURES = ("n", "mean", "deviation", "between", "median", "spread")
"""Of a channel: over ``n`` examples; ``deviation`` of all values, ``between`` of the examples'
means, whose ``median`` and interquartile range by 1.349 (``spread``) follow."""
BY_LABEL = ("n", "mean", "between")
_MOST_TEXT = 2**17  # characters
_LARGEST = 2**31  # of a shape's numbers


@dataclass(frozen=True)
class Survey:
    """What a site tells of its data.

    Attributes:
        batch: what a batch is, one of ``FORMS``; empty if it could not be told.
        dtype: of its inputs.
        shape: of one example's inputs; 0 where it differs between examples.
        target_dtype: of its labels, masks or targets.
        target_shape: of one example's.
        partial: sets of which only the first examples were read.
        tables: by name, see :func:`form_of`.
    """

    batch: str = ""
    dtype: str = ""
    shape: tuple[int, ...] = ()
    target_dtype: str = ""
    target_shape: tuple[int, ...] = ()
    partial: tuple[str, ...] = ()
    tables: Tables = field(default_factory=dict)

    def write(self) -> str:
        """Return the survey as JSON."""
        return json.dumps(asdict(self))

    def numbered(self, name: str) -> dict[int, Table]:
        """Return the tables ``name.0``, ``name.1``, …, by number."""
        start = f"{name}."
        found = {key.removeprefix(start): one for key, one in self.tables.items()
                 if key.startswith(start)}  # fmt: skip
        return {int(number): table for number, table in found.items() if number.isdecimal()}


def form_of(name: str, task: Task, columns: int = 0) -> Form | None:
    """Return the form of a table; None if no table of this name may leave.

    - ``labels.SET``: examples of each label; of a multi-label set or a segmentation without and
      with each.
    - ``channel.C``, ``target.T``: :data:`FIGURES` of a channel, or of a target.
    - ``missing.C``: examples without and with missing values.
    - ``intensity.C``: examples by the bin of their mean (:func:`intensity_bin`).
    - ``label.K.C``: :data:`BY_LABEL` of a channel over the examples of a label.
    - ``sketch.SET``: by projection, records on its one and its other side.
    - ``both.SET.SET``: records of the second set that are not, and are, in the first.

    Args:
        name: the table's.
        task: the federation's.
        columns: how many columns there are, where there may be several numbers of them.
    """
    kind, *parts = name.split(".")
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) < 5]
    sets = [part for part in parts if part in SETS]
    if kind in ("labels", "sketch") and len(sets) == len(parts) == 1:
        if kind == "sketch":
            return Form(2, columns) if columns in SKETCHES else None
        rows = {"classification": 1, "multilabel": 2, "segmentation": 2}.get(task.name)
        return None if rows is None else Form(rows, task.size)
    if kind == "both" and len(sets) == len(parts) == 2:
        return Form(1, 2)
    if len(numbers) != len(parts) or not numbers or numbers[-1] >= CHANNELS:
        return None
    if kind == "label" and len(numbers) == 2 and numbers[0] < task.size:
        return Form(1, len(BY_LABEL), counted=0)
    forms = {
        "channel": Form(1, len(FIGURES), counted=0),
        "target": Form(1, len(FIGURES), counted=0),
        "missing": Form(1, 2),
        "intensity": bins(1, INTENSITIES),
    }
    return forms.get(kind) if len(numbers) == 1 else None


def coarse(value: float, scale: float, count: int) -> float:
    """Round a figure over ``count`` examples, to a step that is more than one of them moves it by.

    An example at three deviations moves a mean by three deviations through the count.

    Args:
        value: the figure.
        scale: the deviation of what it is made of.
        count: number of examples.
    """
    if not scale > 0 or not math.isfinite(value):
        return value
    step = 2.0 ** math.ceil(math.log2(scale * max(1 / 32, 4 / count)))
    return round(value / step) * step + 0.0  # which makes -0.0 0.0


def intensity_bin(value: float) -> int:
    """Return the bin of a value: one octave, on either side of zero by its sign."""
    half = INTENSITIES // 2
    octave = math.frexp(value)[1] - 1 if value else _LEAST
    place = min(max(octave - _LEAST, 0), half - 1)
    return half + place if value >= 0 else half - 1 - place


def vet(value: object, task: Task, minimum: int) -> Survey | None:
    """Return what of a survey may leave, written anew; None if it is none.

    A table that is not of its form, contradicts itself, or holds a count below the minimum, is
    left out.

    Args:
        value: its attributes by name, as they came.
        task: the federation's.
        minimum: the site's minimum cell count.
    """
    try:
        return _vet(value, task, minimum)
    except MALFORMED:
        return None


def unpacked(text: object) -> object:
    """Return what a site sent as JSON, still to be vetted; None if it is no such text."""
    try:
        return read_json(text, _MOST_TEXT) if isinstance(text, str) else None
    except MALFORMED:
        return None


def _vet(value: object, task: Task, minimum: int) -> Survey | None:
    if not isinstance(value, Mapping):
        return None
    tables: dict[str, Table] = {}
    given = value.get("tables")
    for name, table in (given if isinstance(given, Mapping) else {}).items():
        try:
            form = form_of(str(name), task, len(table[0]))
            kept = None if form is None else form.release(form.read(table), minimum)
        except MALFORMED:
            continue
        if kept is not None and _is_sound(str(name), kept):
            tables[str(name)] = kept
    partial = value.get("partial")
    said = partial if isinstance(partial, list | tuple) else ()
    return Survey(
        batch=_among(value.get("batch"), FORMS),
        dtype=_among(value.get("dtype"), DTYPES),
        shape=_shape(value.get("shape")),
        target_dtype=_among(value.get("target_dtype"), DTYPES),
        target_shape=_shape(value.get("target_shape")),
        partial=tuple(name for name in SETS if name in said),
        tables=tables,
    )


def _is_sound(name: str, table: Table) -> bool:
    """Tell whether a table of figures has a number of examples, and no negative deviation."""
    kind = name.partition(".")[0]
    if kind not in ("channel", "target", "label"):
        return any(map(any, table))
    (row,) = table
    sizes = (row[2], row[3], row[5]) if kind != "label" else (row[2],)
    return row[0] >= 1 and row[0] == int(row[0]) and all(size >= 0 for size in sizes)


def _among(value: object, known: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in known else ""


def _shape(value: object) -> tuple[int, ...]:
    if not isinstance(value, list | tuple):
        return ()
    sizes = tuple(one for one in value if type(one) is int and 0 <= one < _LARGEST)
    return sizes[:5] if len(sizes) == len(value) else ()
