"""A site's loaders, counted: whatever their batches are, within bounds, and left as they were."""

import time

import numpy as np
import pytest
import torch
from fixtures.surveys import CLASSIFICATION, batches
from torch.utils.data import DataLoader, TensorDataset

from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.survey import reading
from federator.runtime.worker.survey.reading import take_survey


def take(loader, size, task=CLASSIFICATION, **rest):
    return take_survey({"train": loader}, {"train": size}, task, b"salt", **rest)


def test_class_labels_and_channels():
    inputs = np.array([[0.0, 1.0], [0.0, 3.0], [4.0, 5.0], [8.0, np.nan]])
    survey = take(batches(inputs, np.array([0, 0, 1, 1]), 2), 4)
    assert survey.tables["labels.train"] == [[2, 2]]
    assert survey.tables["missing.1"] == [[3, 1]]
    assert survey.tables["channel.1"][0][0] == 3
    assert [survey.tables[f"label.{k}.0"][0][0] for k in (0, 1)] == [2, 2]
    assert (survey.dtype, survey.shape) == ("float64", (2,))
    assert (survey.target_dtype, survey.target_shape) == ("int64", ())


def test_means_and_deviations_are_those_of_all_values():
    rng = np.random.default_rng(0)
    images = rng.normal(7, 2, size=(400, 3, 8, 8)) + rng.normal(size=(400, 3, 1, 1))
    (row,) = take(batches(images, None), 400).tables["channel.2"]
    named = dict(zip(("n", "mean", "deviation", "between", "median", "spread"), row, strict=True))
    one, means = images[:, 2], images[:, 2].mean((1, 2))
    for name, right in (
        ("mean", one.mean()),
        ("deviation", one.std()),
        ("between", means.std()),
        ("median", np.median(means)),
    ):
        assert named[name] == pytest.approx(right, abs=means.std() / 16)


def test_several_labels_an_example_of_which_some_are_not_known():
    targets = np.array([[1, 0, np.nan], [1, 1, -1], [0, 1, 1]])
    survey = take(batches(np.ones((3, 2)), targets), 3, Task("multilabel", 3))
    assert survey.tables["labels.train"] == [[1, 1, 0], [2, 2, 1]]


def test_masks_tell_in_how_many_cases_a_class_is_and_what_lies_under_it():
    inputs = torch.zeros(2, 1, 4, 4)
    masks = torch.zeros(2, 4, 4, dtype=torch.int64)
    masks[0, :2], inputs[0, 0, :2] = 1, 5.0
    survey = take([(inputs, masks)], 2, Task("segmentation", 2))
    assert survey.tables["labels.train"] == [[0, 1], [2, 1]]
    assert survey.tables["label.1.0"][0] == [1, 5.0, 0.0]
    assert survey.tables["label.0.0"][0][:2] == [2, 0.0]


def test_real_targets():
    survey = take(batches(np.ones((40, 2)), np.linspace(0, 100, 40)), 40, Task("regression", 1))
    assert survey.tables["target.0"][0][0] == 40
    assert survey.tables["target.0"][0][4] == pytest.approx(50, abs=4)


def test_dictionaries_and_words_of_a_text():
    batch = {
        "input_ids": torch.randint(0, 999, (8, 12)),
        "attention_mask": torch.ones(8, 12, dtype=torch.int64),
        "labels": torch.tensor([0, 1] * 4),
    }
    survey = take([batch], 8)
    assert survey.batch == "a dictionary" and survey.shape == (12,)
    assert survey.tables == {"labels.train": [[4, 4]]}


@pytest.mark.parametrize(
    "batch", [object(), "text", [], {}, [["a"], [object()]], (np.array("x"), 1), [{}, {}], 7]
)
def test_of_anything_else_nothing_is_told(batch):
    survey = take([batch] * 2, 2)
    assert survey.tables == {} and survey.partial == ("train",)


def test_images_of_other_sizes_have_a_length_that_differs():
    loader = [(np.ones((2, 1, side, 9)), np.zeros(2)) for side in (7, 8)]
    assert take(loader, 4).shape == (1, 0, 9)


def test_channels_may_come_last_or_not_at_all():
    assert "channel.2" in take([(np.ones((2, 32, 32, 3)), np.zeros(2))], 2).tables
    alone = take([(np.ones((2, 32, 32)), np.zeros(2))], 2).tables
    assert "channel.0" in alone and "channel.1" not in alone


def test_large_sets_are_read_in_part(monkeypatch):
    monkeypatch.setattr(reading, "MOST", 100)
    inputs, labels = np.ones((1000, 2)), np.zeros(1000)
    survey = take(batches(inputs, labels, 50), 1000)
    assert survey.partial == ("train",) and survey.tables["labels.train"] == [[100, 0]]

    def slow():
        while True:
            time.sleep(0.02)
            yield inputs[:10], labels[:10]

    class Slow:
        def __iter__(self):
            return slow()

    monkeypatch.setattr(reading, "MOST", 10**6)
    began = time.monotonic()
    loaders = dict.fromkeys(("train", "val", "test"), Slow())
    survey = take_survey(loaders, dict.fromkeys(loaders, 10**6), CLASSIFICATION, b"s", 0.3)
    assert time.monotonic() - began < 1.0
    assert survey.partial == ("train", "val", "test"), "each has its share of the time"


def test_a_loaders_own_generator_is_left_as_it_was():
    generator = torch.Generator().manual_seed(5)
    data = TensorDataset(torch.arange(64.0)[:, None], torch.zeros(64))
    loader = DataLoader(data, batch_size=8, shuffle=True, generator=generator)
    state = generator.get_state()
    take(loader, 64)
    assert torch.equal(generator.get_state(), state)


def test_a_loader_that_fails_is_told_with_its_place():
    class Broken:
        def __iter__(self):
            yield np.ones((2, 2)), np.zeros(2)
            raise KeyError("Jane Doe, MRN 4711")

    with pytest.raises(Failure) as told:
        take(Broken(), 4)
    assert (told.value.type, told.value.part) == ("KeyError", "load_data")
    assert "Jane" not in told.value.write()


def test_records_that_are_mostly_alike_are_not_sketched():
    """A sketch of few kinds of records would show how often each is there."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, size=(600, 5)).astype(np.float64)
    assert not any(name.startswith(("sketch", "both")) for name in take(
        batches(kinds, np.zeros(600)), 600).tables)  # fmt: skip
    assert "sketch.train" in take(batches(rng.normal(size=(600, 5)), np.zeros(600)), 600).tables
