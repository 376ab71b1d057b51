"""Which view shows which task."""

from collections.abc import Mapping

from federator.results.tasks.base import Names, View
from federator.results.tasks.classification import ClassificationView
from federator.results.tasks.multilabel import MultilabelView
from federator.results.tasks.other import OtherView
from federator.results.tasks.regression import RegressionView
from federator.results.tasks.segmentation import SegmentationView
from federator.results.tasks.survival import SurvivalView
from federator.runtime.protocol.evaluation.tasks import Task, TaskName
from federator.runtime.server.journal import Start

VIEWS: Mapping[TaskName, type[View]] = {
    "classification": ClassificationView,
    "multilabel": MultilabelView,
    "segmentation": SegmentationView,
    "other": OtherView,
    "regression": RegressionView,
    "survival": SurvivalView,
}


def view(start: Start) -> View:
    """Return the view of a run's task, by what its journal says at the start."""
    labels = tuple(start.labels)
    positive = None
    if start.task == "classification" and len(labels) == 2:
        positive = labels.index(start.positive) if start.positive in labels else 1
    return VIEWS[start.task](Names(labels, positive, tuple(start.ranges), start.horizon))


def task(start: Start) -> Task:
    """Return a run's task, by what its journal says at the start."""
    return Task(start.task, max(1, len(start.labels)))
