"""What a survey lets out: counts above the minimum, figures that do not show one example."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from fixtures.surveys import CLASSIFICATION, surveyed, table
from hypothesis import given, settings
from hypothesis import strategies as st

from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.survey import Survey, coarse, intensity_bin, unpacked, vet

TASKS = [Task(name, 3) for name in ("classification", "multilabel", "segmentation", "regression")]


def cells(survey: Survey) -> list[float]:
    """Return all counts of a survey: of examples, and of those that a figure is over."""
    found = []
    for name, rows in survey.tables.items():
        figures = name.partition(".")[0] in ("channel", "target", "label")
        found += [rows[0][0]] if figures else [cell for row in rows for cell in row]
    return found


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_count_below_the_minimum_leaves(data):
    seed, size = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(1, 90))
    task, minimum = data.draw(st.sampled_from(TASKS)), data.draw(st.integers(1, 12))
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(size, 2, 4, 4)) * 10.0 ** rng.integers(-3, 6)
    inputs[rng.random(size) < 0.05, 0] = np.nan
    shape = {"multilabel": (size, 3), "segmentation": (size, 4, 4), "regression": (size, 2)}
    targets = rng.integers(0, 3, shape.get(task.name, size)).astype(np.float64)
    if task.name == "multilabel":
        targets = np.where(targets == 2, np.nan, targets)
    if task.name == "segmentation":
        targets = targets.astype(np.int64)
    survey = surveyed(inputs, targets, task, minimum)
    assert all(cell == 0 or cell >= minimum for cell in cells(survey))


def test_a_set_of_enough_examples_tells_all_that_is_listed():
    site = table(1, 1000)
    names = {name.partition(".")[0] for name in surveyed(site.inputs, site.targets).tables}
    assert names == {"labels", "channel", "missing", "intensity", "label", "sketch", "both"}
    target = surveyed(site.inputs, site.inputs[:, 0], Task("regression", 1))
    assert "target.0" in target.tables and "labels.train" not in target.tables


@given(st.integers(0, 2**32 - 1), st.integers(5, 200), st.floats(-3, 3))
def test_one_example_more_changes_a_mean_by_a_step_at_most(seed, count, place):
    """That is no more than rounding alone may do: a reader cannot subtract the example out."""
    before = np.random.default_rng(seed).lognormal(size=count)
    scale = float(before.std())
    after = np.append(before, before.mean() + place * scale)
    told = [coarse(float(one.mean()), scale, count) for one in (before, after)]
    step = 2 ** np.ceil(np.log2(scale * max(1 / 32, 4 / count)))
    assert abs(told[0] - told[1]) in (0, step)


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("label.2.0", [[50, 0.0, 1.0]]),
        ("label.0.64", [[50, 0.0, 1.0]]),
        ("channel.0", [[50, 0.0, -1.0, 1.0, 0.0, 1.0]]),
        ("channel.0", [[4, 0.0, 1.0, 1.0, 0.0, 1.0]]),
        ("channel.0", [[50, float("nan"), 1.0, 1.0, 0.0, 1.0]]),
        ("channel.Jane", [[50, 0.0, 1.0, 1.0, 0.0, 1.0]]),
        ("labels.north", [[50, 50]]),
        ("labels.train", [[50, 4]]),
        ("labels.train", [[50, 50, 50]]),
        ("sketch.train", [[50] * 33, [50] * 33]),
        ("both.train.val", [[50, 1]]),
        ("names", [["Jane", "Doe"]]),
    ],
)
def test_what_is_not_listed_stays(name, rows):
    sound = {"missing.0": [[50, 0]]}
    kept = vet({**asdict(Survey()), "tables": {name: rows, **sound}}, CLASSIFICATION, 5)
    assert kept is not None and kept.tables == sound


def test_words_of_a_worker_stay():
    said = {
        "batch": "Jane Doe", "dtype": "MRN 4711", "shape": [3, "x"], "target_dtype": ["int64"],
        "target_shape": [-1], "partial": ["train", "Jane"], "tables": [], "more": "Jane",
    }  # fmt: skip
    assert vet(said, CLASSIFICATION, 5) == Survey(partial=("train",))
    assert vet("Jane", CLASSIFICATION, 5) is None
    assert unpacked("[" * 9000) is None and unpacked(4711) is None
    assert json.loads(Survey().write()) == {**asdict(Survey()), "shape": [], "target_shape": [],
                                            "partial": []}  # fmt: skip


def test_intensities_are_counted_by_octaves_of_either_sign():
    assert intensity_bin(1.0) + 1 == intensity_bin(2.0) == intensity_bin(3.9)
    assert intensity_bin(-1.0) == 63 - intensity_bin(1.0)
    assert (intensity_bin(0.0), intensity_bin(1e30), intensity_bin(-1e30)) == (32, 63, 0)
