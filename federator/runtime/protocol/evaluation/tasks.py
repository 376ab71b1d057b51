"""The tasks of deep learning, and the tables that a site may let out of each.

What a federation predicts is its task. This is the whole list of what leaves a site of an
evaluation, beside a loss and the numbers that the federation file declares. How a worker counts
the tables is told in ``runtime/worker/tasks``, what follows from their sums in ``results/tasks``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from federator.runtime.protocol.evaluation.tables import Form, Table, Tables, bins

TaskName = Literal[
    "classification", "multilabel", "segmentation", "regression", "survival", "other"
]
NAMES: tuple[TaskName, ...] = get_args(TaskName)

SCORE_BINS = 64  # of scores in 0..1
DICE_BINS = 32  # of a case's Dice coefficient, in 0..1
DISTANCE_BINS = 32  # of a case's HD95, from 0 to the largest that the federation file tells apart
RANGE_BINS = 32  # of predictions, over the range that the federation file gives
RISK_BINS = 32  # of a risk, in 0..1
TIMES = 16  # intervals of equal length up to the horizon

# A table of sums begins with the number of examples that it sums over.
OVERLAP_SUMS = ("cases", "dice", "dice_squared", "iou", "iou_squared")
SURFACE_SUMS = ("cases", "hd95", "hd95_squared")
VOXEL_SUMS = ("cases", "true_positive", "false_positive", "false_negative")
# Truths and predictions are summed from the middle of the target's range: what a site's policy
# leaves of a sum's digits is then lost in the spread of the values, not in their distance from 0.
ERROR_SUMS = (
    "n", "absolute", "squared", "error", "truth", "truth_squared", "prediction",
    "prediction_squared", "product",
)  # fmt: skip
PAIRS = ("events", "concordant", "same_risk", "comparable")  # of an event and who came later
CALIBRATION = ("n", "prediction", "truth", "squared")  # rows: sums by bin of the prediction


def middle(low: float, high: float) -> float:
    """Return the value of a target that ``ERROR_SUMS`` are summed from."""
    return (low + high) / 2


@dataclass(frozen=True)
class Task:
    """What a federation predicts, and of how many labels, classes or targets.

    Attributes:
        name: one of :data:`NAMES`.
        size: number of labels (classification, multilabel), of classes with the background
            (segmentation), or of targets (regression); 1 where there is nothing to number.
    """

    name: TaskName
    size: int

    @cached_property
    def forms(self) -> Mapping[str, Form]:
        """The tables that may leave, by name; those of a label, class or target by its number."""
        return _FORMS[self.name](self.size)

    @property
    def matrices(self) -> tuple[str, ...]:
        """The tables in which each example is counted once: they are rounded, or get noise."""
        return tuple(name for name, form in self.forms.items() if form.rounded)

    @property
    def is_partial(self) -> bool:
        """Whether an example may count in some of the tables only, or in none.

        It is not labelled for each label, a target was not measured, a case is without a class.
        """
        return self.name in ("multilabel", "segmentation", "regression")

    def examples(self, tables: Tables) -> int | None:
        """Return over how many examples tables are; None where they do not tell.

        Where they are partial, it is the number of the table with most.

        Raises:
            ValueError: if they contradict one another.
        """
        return _EXAMPLES[self.name](self.size, tables)


def _numbered(name: str, size: int, form: Form) -> dict[str, Form]:
    return {f"{name}.{k}": form for k in range(size)}


def _classification(size: int) -> dict[str, Form]:
    """Rows of ``confusion`` are the true labels; of ``scores.k`` the others, and label k."""
    scores = _numbered("scores", size, bins(2, SCORE_BINS))
    return {"confusion": Form(size, size, rounded=True), **scores}


def _multilabel(size: int) -> dict[str, Form]:
    """Rows are without and with label k; columns of ``confusion.k``, predicted so."""
    scores = _numbered("scores", size, bins(2, SCORE_BINS))
    return {**_numbered("confusion", size, Form(2, 2, rounded=True)), **scores}


def _segmentation(size: int) -> dict[str, Form]:
    """Of class k, over those cases in which it is drawn or predicted.

    ``surfaces.k`` and ``distances.k`` are of test sets, where the federation file asks for them.
    """
    return {
        **_numbered("voxels", size, Form(1, len(VOXEL_SUMS), counted=0)),
        **_numbered("overlap", size, Form(1, len(OVERLAP_SUMS), counted=0)),
        **_numbered("histogram", size, bins(1, DICE_BINS)),
        **_numbered("surfaces", size, Form(1, len(SURFACE_SUMS), counted=0)),
        **_numbered("distances", size, bins(1, DISTANCE_BINS)),
    }


def _regression(size: int) -> dict[str, Form]:
    """Of target k."""
    calibration = bins(len(CALIBRATION), RANGE_BINS, counted=1)
    return {
        **_numbered("errors", size, Form(1, len(ERROR_SUMS), counted=0)),
        **_numbered("calibration", size, calibration),
    }


def _survival(_size: int) -> dict[str, Form]:
    """Rows are bins of rising risk; columns events, then ends without one, by interval.

    ``pairs`` are of the site's own patients, by their exact times and risks: each of one with an
    event, which is what counts as an example there.
    """
    columns = 2 * TIMES
    fewer_risks = [(RISK_BINS // 2**k, columns) for k in range(1, 5)]
    fewer_times = [(2, columns // 2**k) for k in range(1, 4)]
    return {
        "risks": Form(RISK_BINS, columns, coarser=(*fewer_risks, *fewer_times)),
        "times": Form(1, columns, coarser=tuple((1, columns // 2**k) for k in range(1, 4))),
        "pairs": Form(1, len(PAIRS), counted=0),
    }


def _none(_size: int) -> dict[str, Form]:
    return {}


_FORMS: Mapping[str, Callable[[int], dict[str, Form]]] = {
    "classification": _classification,
    "multilabel": _multilabel,
    "segmentation": _segmentation,
    "regression": _regression,
    "survival": _survival,
    "other": _none,
}


def _of_classification(size: int, tables: Tables) -> int | None:
    if "confusion" not in tables:
        if tables:
            raise ValueError("scores without counts")
        return None
    by_label = [int(sum(row)) for row in tables["confusion"]]
    total = sum(by_label)
    for k in range(size):
        _same_rows(tables.get(f"scores.{k}"), [total - by_label[k], by_label[k]])
    return total


def _of_multilabel(size: int, tables: Tables) -> int | None:
    totals = []
    for k in range(size):
        if counts := tables.get(f"confusion.{k}") or tables.get(f"scores.{k}"):
            by_label = [int(sum(row)) for row in counts]
            _same_rows(tables.get(f"scores.{k}"), by_label)
            totals.append(sum(by_label))
    return max(totals, default=None)


def _of_segmentation(size: int, tables: Tables) -> int | None:
    most: list[int] = []
    for k in range(size):
        sums = [tables.get(f"{name}.{k}") for name in ("overlap", "voxels", "surfaces")]
        counts = [tables.get(f"{name}.{k}") for name in ("histogram", "distances")]
        cases = {int(table[0][0]) for table in sums if table}
        cases |= {int(sum(table[0])) for table in counts if table}
        if len(cases) > 1:
            raise ValueError("tables of other cases")
        most += cases
    return max(most, default=None)


def _of_regression(size: int, tables: Tables) -> int | None:
    totals = []
    for k in range(size):
        if sums := tables.get(f"errors.{k}"):
            count = int(sums[0][0])
            totals.append(count)
            if (binned := tables.get(f"calibration.{k}")) and sum(binned[0]) != count:
                raise ValueError("bins of other examples")
    return max(totals, default=None)


def _of_survival(_size: int, tables: Tables) -> int | None:
    binned = [table for name, table in tables.items() if name != "pairs"]
    totals = {int(sum(map(sum, table))) for table in binned}
    events = {int(sum(sum(row[: len(row) // 2]) for row in table)) for table in binned}
    events |= {int(tables["pairs"][0][0])} if "pairs" in tables else set()
    if len(totals) > 1 or len(events) > 1:
        raise ValueError("tables of other patients")
    return totals.pop() if totals else None


def _unknown(_size: int, _tables: Tables) -> int | None:
    return None


def _same_rows(table: Table | None, sums: list[int]) -> None:
    if table is not None and [int(sum(row)) for row in table] != sums:
        raise ValueError("scores of other examples than the counts are of")


_EXAMPLES: Mapping[str, Callable[[int, Tables], int | None]] = {
    "classification": _of_classification,
    "multilabel": _of_multilabel,
    "segmentation": _of_segmentation,
    "regression": _of_regression,
    "survival": _of_survival,
    "other": _unknown,
}
