"""Which fields of the federation file a task takes, needs and refuses."""

from pathlib import Path

import pytest

from federator.errors import FederationFileError
from federator.federation import schema
from federator.runtime.protocol.evaluation.settings import Surfaces
from federator.runtime.protocol.evaluation.tasks import Task

FILE = "notebook: notebook.ipynb\nsites: [{name: north}]\n"


def read(tmp_path: Path, text: str) -> schema.Federation:
    folder = tmp_path / "trial"
    folder.mkdir(exist_ok=True)
    (folder / "notebook.ipynb").touch()
    (folder / schema.FILE).write_text(FILE + text)
    return schema.read(folder)


@pytest.mark.parametrize(
    ("text", "task", "names"),
    [
        ("", Task("classification", 2), ("negative", "positive")),
        ("labels: [a, b, c]", Task("classification", 3), ("a", "b", "c")),
        ("task: multilabel\nlabels: [a]", Task("multilabel", 1), ("a",)),
        ("task: segmentation\nlabels: [none, tumour]", Task("segmentation", 2), ("none", "tumour")),
        ("task: regression\ntargets: {age: [0, 100]}", Task("regression", 1), ("age",)),
        ("task: survival\nhorizon: 60", Task("survival", 1), ()),
        ("task: other\nmetrics: {dice: mean, n: sum}", Task("other", 1), ()),
    ],
)
def test_each_task_has_its_fields(tmp_path, text, task, names):
    found = read(tmp_path, text).evaluation
    assert (found.task, found.names) == (task, names)
    assert found.positive == (1 if len(names) == 2 and task.name == "classification" else None)


def test_targets_have_ranges_and_metrics_pool(tmp_path):
    text = "task: regression\ntargets: {edv: [0, 400], ef: [0, 0.9]}\nmetrics: {n: sum, m: max}"
    found = read(tmp_path, text).evaluation
    assert found.ranges == ((0.0, 400.0), (0.0, 0.9))
    assert found.metrics == {"n": "sum", "m": "max"}
    assert read(tmp_path, "metrics: [dice]").evaluation.metrics == {"dice": "mean"}


def test_surfaces_are_a_distance_with_a_unit(tmp_path):
    text = "task: segmentation\nlabels: [none, tumour]\n"
    assert read(tmp_path, text).evaluation.surfaces is None
    for said, found in (("50 mm", Surfaces(50.0, "mm")), ("20 voxels", Surfaces(20.0, "voxels"))):
        assert read(tmp_path, f"{text}surfaces: {said}").evaluation.surfaces == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("task: segment", "task must be 'classification', 'multilabel', 'segmentation',"),
        ("task: multilabel", "labels is needed for the task multilabel"),
        ("task: regression", "targets is needed for the task regression"),
        ("task: regression\nlabels: [a, b]\ntargets: {a: [0, 1]}", "labels belongs to the task"),
        ("task: regression\ntargets: {age: [9, 0]}", "must have a smaller number first"),
        ("task: regression\ntargets: {age: [0]}", "targets.age needs 2 or more entries"),
        ("task: regression\ntargets: {age: [0, .inf]}", "must be a number"),
        ("task: regression\ntargets: {}", "must name at least one target"),
        ("labels: [a, b]\nsurfaces: 5 mm", "surfaces belongs to the task segmentation"),
        (
            "task: segmentation\nlabels: [a, b]\nsurfaces: 5",
            'surfaces must be a distance such as 50 mm or 20 voxels, not "5"',
        ),
        (
            "task: segmentation\nlabels: [a, b]\nsurfaces: 0 mm",
            'surfaces must be a distance such as 50 mm or 20 voxels, not "0 mm"',
        ),
        ("task: survival", "horizon is needed for the task survival"),
        ("task: survival\nhorizon: 0", "horizon must be greater than 0"),
        ("horizon: 60", "horizon belongs to the task survival, not to classification"),
        ("task: multilabel\nlabels: [a, b]\npositive: a", "positive belongs to the task"),
        ("task: segmentation\nlabels: [tumour]", "labels needs 2 or more entries"),
        ("metrics: {dice: median}", "metrics.dice must be 'mean', 'sum' or 'max'"),
    ],
)
def test_what_a_task_does_not_take_or_lacks_is_refused(tmp_path, text, says):
    with pytest.raises(FederationFileError) as caught:
        read(tmp_path, text)
    assert says in str(caught.value)
    assert str(caught.value).count("federation.yaml: line") >= 1
