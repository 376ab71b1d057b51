"""The models of a run side by side on test data: the comparison of the paper's Table 2."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from federator.results.history import Journal
from federator.runtime.protocol import metrics
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.server.journal import Result

COLUMNS = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "accuracy": "Accuracy",
    "auc": "AUC",
}


@dataclass(frozen=True)
class Row:
    """A model on some test sets: the values of ``COLUMNS`` and those in which it is best.

    ``missing`` are the sites on whose test sets this model was not tested though others were:
    such a row is not compared.
    """

    model: str
    result: Result
    values: dict[str, float | None]
    intervals: dict[str, metrics.Interval]
    missing: tuple[str, ...]
    best: frozenset[str] = frozenset()


def compare(journal: Journal, site: str | None = None, models: Sequence[str] = ()) -> list[Row]:
    """Set models (default: all) side by side on one site's test set, or on all taken together."""
    models = models or [FEDERATION, *journal.sites]
    tested = {model: journal.tests[model] for model in models if model in journal.tests}
    everywhere = {name for test in tested.values() for name in test.sites}
    rows = []
    for model, test in tested.items():
        result = test.sites.get(site) if site else test.pooled()
        if result is not None:
            missing = () if site else tuple(sorted(everywhere - set(test.sites)))
            found = metrics.summarise(result.counts, journal.positive)
            curve = roc(journal, result)
            values = {name: getattr(found, name) for name in metrics.NAMES}
            values["auc"] = curve.auc if curve else None
            known = journal.positive is not None
            sure = metrics.intervals(result.counts, journal.positive or 0) if known else {}
            rows.append(Row(model, result, values, sure, missing))
    rivals = [row for row in rows if not row.missing]
    return [replace(row, best=_best(row, rivals)) if row in rivals else row for row in rows]


def _best(row: Row, rivals: Sequence[Row]) -> frozenset[str]:
    """Name the columns in which a row is best, and some other is not."""
    best = set()
    for name, value in row.values.items():
        others = [other for rival in rivals if (other := rival.values[name]) is not None]
        if value is not None and min(others) < value == max(others):
            best.add(name)
    if len({rival.result.scores.bins for rival in rivals if rival.result.scores}) > 1:
        best.discard("auc")  # coarser scores give smaller areas
    return frozenset(best)


def roc(journal: Journal, result: Result) -> metrics.Roc | None:
    """Draw a result's ROC; None for more than two labels, and where there are no scores."""
    if journal.positive is None or result.scores is None:
        return None
    return metrics.roc(result.scores.counts, journal.positive)
