"""The fields of the federation file that say what is predicted, and which of them a task takes."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from federator.federation.fields import Label, Variable, distinct
from federator.federation.yaml_file import wrong
from federator.runtime.protocol.evaluation.settings import Pooling

Number = Annotated[float, Field(allow_inf_nan=False)]
Span = Annotated[list[Number], Field(min_length=2, max_length=2)]
"""The smallest and the largest plausible value."""

_DEFAULT_LABELS = ["negative", "positive"]
# By field: the tasks that take it, and those of them that need it, with an example.
_TAKEN = {
    "labels": ("classification", "multilabel", "segmentation"),
    "targets": ("regression",),
    "horizon": ("survival",),
    "surfaces": ("segmentation",),
}
_NEEDED = {
    "targets": 'name each target with its range of plausible values: "targets: {age: [0, 100]}"',
    "horizon": 'give the last time to look at, in the unit of the data: "horizon: 60"',
    "labels": 'name each label, or each class with the background first: "labels: [a, b]"',
}


def fitting(task: object, field: str, value: object) -> object:
    """Return a field's value, or its default; ``labels`` have one in a classification only.

    None of a field that a task can do without.

    Raises:
        ValueError: if the task takes no such field, or needs it, or it says nothing.
    """
    if task not in _TAKEN[field]:
        if value is not None:
            of = " or ".join(_TAKEN[field])
            raise wrong(f"belongs to the task {of}, not to {task}", "remove this line")
        return None
    if value is None and task == "classification":
        return list(_DEFAULT_LABELS)
    if value is None and field in _NEEDED:
        raise wrong(f"is needed for the task {task}", _NEEDED[field])
    if isinstance(value, dict):
        return _targets(value)
    least = 1 if task == "multilabel" else 2
    if isinstance(value, list) and len(value) < least:
        raise wrong(f"needs {least} or more entries")
    return value


def _targets(value: dict[str, list[float]]) -> dict[str, list[float]]:
    if not value:
        raise wrong("must name at least one target", _NEEDED["targets"])
    for name, (low, high) in value.items():
        if not low < high:
            raise wrong(f"must have a smaller number first, not {[low, high]}", at=[name])
    return value


def _as_mapping(value: object) -> object:
    """Return a list of metrics as what each pools by: the mean."""
    if not isinstance(value, list):
        return value
    if not all(isinstance(each, str) for each in value):
        return value
    return dict.fromkeys(distinct(value), "mean")


Horizon = Annotated[Number, Field(gt=0)]
Labels = Annotated[list[Label], Field(min_length=1), AfterValidator(distinct)]
Metrics = Annotated[dict[Variable, Pooling], BeforeValidator(_as_mapping, list[Variable])]
