"""All findings of a survey: what the sites' data have that they should not."""

from collections.abc import Mapping, Sequence

from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.survey import Survey
from federator.runtime.server.survey.channels import missing, orders, scales, units
from federator.runtime.server.survey.finding import Finding, odd_ones
from federator.runtime.server.survey.labels import missing_classes, swapped
from federator.runtime.server.survey.records import same_records, same_records_within


def findings(surveys: Mapping[str, Survey], labels: Sequence[str], task: Task) -> list[Finding]:
    """Return what is odd in the data of which sites.

    Args:
        surveys: by site.
        labels: their names, by number.
        task: the federation's.
    """
    known = {site: surveys[site] for site in sorted(surveys)}
    return [
        *odd_ones("shape", known, _other_shape),
        *odd_ones("type", known, _other_type),
        *missing_classes(known, labels, task),
        *swapped(known, labels, task),
        *scales(known),
        *orders(known),
        *units(known),
        *missing(known),
        *same_records(known),
        *same_records_within(known),
    ]


def _other_shape(one: Survey, other: Survey) -> str:
    for what, ours, theirs in (
        ("inputs", one.shape, other.shape),
        ("target", one.target_shape, other.target_shape),
    ):
        known = bool(one.dtype and other.dtype and one.target_dtype and other.target_dtype)
        differ = len(ours) != len(theirs) or any(
            a != b for a, b in zip(ours, theirs, strict=False) if a and b
        )
        if known and differ:
            return f"the {what} of an example are of shape {_shown(ours)}, not {_shown(theirs)}"
    return ""


def _other_type(one: Survey, other: Survey) -> str:
    for what, ours, theirs in (
        ("inputs", one.dtype, other.dtype),
        ("labels or targets", one.target_dtype, other.target_dtype),
    ):
        if ours and theirs and ours != theirs:
            return f"the {what} are of type {ours}, not {theirs}"
    return ""


def _shown(shape: tuple[int, ...]) -> str:
    return f"({', '.join(str(size) if size else 'any' for size in shape)})"
