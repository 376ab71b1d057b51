"""From the name of a task to the module that shows its figures."""

from collections.abc import Mapping

from federator.results.tasks.base import View
from federator.results.tasks.classification import ClassificationView
from federator.results.tasks.multilabel import MultilabelView
from federator.results.tasks.other import OtherView
from federator.results.tasks.regression import RegressionView
from federator.results.tasks.segmentation import SegmentationView, SurfacesView
from federator.results.tasks.survival import SurvivalView
from federator.runtime.protocol.evaluation.settings import EvaluationSettings, Surfaces
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
    """Return the view of what a run evaluates, by what its journal says at the start."""
    names, positive = tuple(start.labels), None
    if start.task == "classification" and len(names) == 2:
        positive = names.index(start.positive) if start.positive in names else 1
    task = Task(start.task, max(1, len(names)))
    surfaces = Surfaces.of(start.surfaces) if start.surfaces else None
    settings = EvaluationSettings(
        task, names, positive, tuple(start.ranges), start.horizon, surfaces=surfaces
    )
    return SurfacesView(settings) if surfaces else VIEWS[start.task](settings)
