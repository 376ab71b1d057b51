"""What may leave a site: the link passes on what is listed here, and nothing else.

Weights with the names, shapes and types of the global model's; counts; a loss; the numbers that
the federation file declares; warnings of a fixed table; of a failure its kind, type, file and
line, and the shape of what was found. What this cannot stop are values hidden inside weights or
counts by a hostile notebook: docs/threat-model.md.
"""

import builtins
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from federator.runtime.metrics import coarsen
from federator.runtime.notices import SET_NAMES, Notice
from federator.runtime.outcomes import (
    LIBRARIES,
    PARTS,
    REASONS,
    Evaluation,
    Failure,
    Outcome,
    Scores,
)
from federator.runtime.targets import DTYPES, FORMS

SETS = ("trainset", "valset", "testset")
_MOST = 2**53
_FILES = frozenset({"task.py", "aggregation.py", "client_app.py"})
_MOST_WARNINGS = 30
_LARGEST = 2**31  # of a shape's numbers
# An author may name a type after a patient, so only these are told; and the parts' own names.
_TYPES = frozenset(
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
) | {
    "OutOfMemoryError", "AcceleratorError", "LinAlgError", "ParserError", "EmptyDataError",
    "UnidentifiedImageError", *PARTS, *FORMS,
}  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """What a site lets out.

    Attributes:
        labels: number of labels K.
        metrics: names of further numbers that the federation file declares.
        min_cell_count: smallest count, other than 0, that a score histogram may hold.
    """

    labels: int
    metrics: frozenset[str] = frozenset()
    min_cell_count: int = 5


def _count(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _MOST


def _table(value: object, rows: int, columns: int) -> list[list[int]]:
    if not (
        isinstance(value, list)
        and len(value) == rows
        and all(isinstance(row, list) and len(row) == columns for row in value)
        and all(_count(cell) for row in value for cell in row)
    ):
        raise Failure("withheld", "counts")
    return [[int(cell) for cell in row] for row in value]


def _number(value: object) -> float:
    if type(value) is int and abs(value) <= _MOST:
        return float(value)
    if type(value) is not float or not math.isfinite(value):
        raise Failure("withheld", "a loss or metric that is not a finite number")
    return value


def vet_scores(scores: object, policy: Policy) -> Scores | None:
    """Return a score histogram coarse enough for the site, or None where none is.

    Bins are halved until every count that is not 0 reaches the site's minimum cell count.
    """
    if not isinstance(scores, Mapping) or policy.labels != 2:
        return None
    bins = scores.get("bins")
    if not _count(bins) or bins < 2 or bins & (bins - 1):
        return None
    counts = _table(scores.get("counts"), 2, bins)
    while bins > 1:
        if all(cell == 0 or cell >= policy.min_cell_count for row in counts for cell in row):
            return {"bins": bins, "counts": counts}
        bins //= 2
        counts = coarsen(counts, bins)
    return None


def _evaluation(value: object, policy: Policy) -> Evaluation:
    if not isinstance(value, Mapping):
        raise Failure("withheld", "evaluation")
    counts = _table(value.get("counts"), policy.labels, policy.labels)
    metrics = value.get("metrics")
    return Evaluation(
        counts=counts,
        loss=_number(value.get("loss")),
        examples=sum(map(sum, counts)),
        metrics={
            name: _number(number)
            for name, number in (metrics if isinstance(metrics, Mapping) else {}).items()
            if name in policy.metrics
        },
        scores=vet_scores(value.get("scores"), policy),
    )


def _warnings(value: object, policy: Policy) -> tuple[Notice, ...]:
    """Return what may leave of warnings, each once; names that are not declared do not."""
    found = value[:_MOST_WARNINGS] if isinstance(value, list | tuple) else []
    notices = (Notice.of(one, policy.metrics) for one in found)
    return tuple(dict.fromkeys(one for one in notices if one is not None))


def vet_outcome(answer: Mapping[str, object], sets: tuple[str, ...], policy: Policy) -> Outcome:
    """Return what of a worker's answer may leave, written anew from its checked values.

    Raises:
        Failure: ``withheld``, if what must be there is not of its declared form.
    """
    examples = answer.get("examples")
    if not isinstance(examples, Mapping) or not all(_count(examples.get(name)) for name in SETS):
        raise Failure("withheld", "number of examples")
    evaluations = answer.get("evaluations")
    found = evaluations if isinstance(evaluations, Mapping) else {}
    return Outcome(
        {name: int(examples[name]) for name in SETS},
        {name: _evaluation(found.get(name), policy) for name in sets if examples[f"{name}set"]},
        _warnings(answer.get("warnings"), policy),
    )


def vet_failure(answer: Mapping[str, object]) -> Failure:
    """Return what of a worker's failure may leave: kinds out of fixed lists, and few numbers."""
    reason, kind, file, line = (answer.get(key) for key in ("reason", "type", "file", "line"))
    part, name, dtype, shape = (answer.get(key) for key in ("part", "set", "dtype", "shape"))
    own = isinstance(file, str) and file in _FILES
    sizes = shape if isinstance(shape, list | tuple) and all(map(_size, shape)) else ()
    count = answer.get("count")
    return Failure(
        reason if isinstance(reason, str) and reason in REASONS else "unknown",
        kind if isinstance(kind, str) and kind in _TYPES else "an exception of the author's own",
        str(file) if own or (isinstance(file, str) and file in LIBRARIES) else "",
        line if own and type(line) is int and 0 <= line < 100_000 else 0,
        part if isinstance(part, str) and part in PARTS else "",
        name if isinstance(name, str) and name in SET_NAMES else "",
        dtype if isinstance(dtype, str) and dtype in DTYPES else "",
        tuple(map(int, sizes[:5])),
        count if _size(count) else 0,
    )


def _size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _LARGEST
