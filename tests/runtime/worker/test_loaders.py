"""A site's loaders: what is seen of them before training."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, WeightedRandomSampler

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker import loaders


def of(labels, **options):
    inputs = torch.zeros(len(labels), 2)
    return DataLoader(TensorDataset(inputs, torch.tensor(labels)), **{"batch_size": 4, **options})


@pytest.mark.parametrize(
    "loader",
    [
        iter([1]),
        (batch for batch in ()),
        zip([1], [2], strict=True),
        iter(of([0, 1])),
        map(int, [1]),
    ],
)
def test_what_can_be_read_once_is_refused(loader):
    with pytest.raises(Failure, match=r"loader of the training set can be read only once"):
        loaders.require_batches(loader, "train", 8)


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2), 0


def test_a_loader_without_a_batch_is_told_with_its_numbers():
    with pytest.raises(Failure) as caught:
        loaders.require_batches(of([0, 1] * 5, batch_size=16, drop_last=True), "train", 10)
    assert str(caught.value) == (
        "the loader of the training set gives no batch: 10 examples, and drop_last with batches "
        "of 16"
    )
    with pytest.raises(Failure, match="validation set gives no batch, but load_data says 3"):
        loaders.require_batches([], "val", 3)
    with pytest.raises(Failure, match="load_data returned something else"):
        loaders.require_batches(7, "val", 3)
    for good in (of([0, 1]), [1], DataLoader(Endless())):
        loaders.require_batches(good, "val", 3)


X, Y = torch.zeros(4, 2), torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        ((X, Y, Y), "a batch of the test set is a tuple of 3, not a pair (inputs, labels)"),
        ({"x": X, "y": Y}, "a batch of the test set is a dictionary"),
        (X, "a batch of the test set is one tensor"),
        ((X, torch.eye(4)), "are float32 of shape (4, 4), several columns"),
        ((X, torch.zeros(4, 8, 8)), "are float32 of shape (4, 8, 8), a mask for each example"),
        ((X, torch.rand(4) + 0.1), "are float32 of shape (4,), real numbers"),
        ((X, ["a", "b"]), "the labels of the test set are no numbers, texts"),
        ((X, ({"boxes": X},) * 4), "are no numbers, dictionaries or other objects"),
        ((X, (Y, Y)), "are no numbers, several arrays in a list"),
        ((X, Y + 60), "the test set has labels outside 0..1, for the 2 labels that the federation"),
    ],
)
def test_a_batch_that_is_no_pair_of_inputs_and_class_numbers_is_named(batch, told):
    with pytest.raises(Failure) as caught:
        loaders.read_pair(batch, "test", 2)
    assert told in str(caught.value)
    if caught.value.reason != "labels":
        assert "`def predict(net, loader): ... return labels, scores`" in str(caught.value)
    assert loaders.labels_in(batch, 2) is None


@pytest.mark.parametrize("labels", [Y, Y[:, None], Y.float(), Y.float()[:, None], Y.bool(), [0, 1]])
def test_class_numbers_may_be_floats_or_a_column(labels):
    inputs, read = loaders.read_pair([X, labels], "test", 2)
    assert inputs is X
    assert read.tolist() == np.asarray(labels).reshape(-1).astype(int).tolist()


def test_a_loader_is_read_until_two_labels_are_seen():
    read = []

    class Noted(list):
        def __iter__(self):
            for batch in super().__iter__():
                read.append(batch)
                yield batch

    one, two = (X, torch.zeros(4)), (X, Y)
    assert loaders.has_two_labels(Noted([one, two, two]), "train", 2, own=False)
    assert len(read) == 2
    assert not loaders.has_two_labels([one, one], "train", 2, own=False)
    assert loaders.has_two_labels([(X, ["MRN 1"], Y), one], "train", 2, own=True)
    with pytest.raises(Failure, match="a tuple of 3"):
        loaders.has_two_labels([(X, ["MRN 1"], Y), one], "train", 2, own=False)
    with pytest.raises(Failure, match="no batch"):
        loaders.has_two_labels([], "train", 2, own=True)


def test_what_a_loader_draws_is_counted_where_it_can_be():
    assert loaders.draw(of([0, 1, 1, 0, 1]), 2) == ([2, 3], {5}, False)
    assert loaders.draw(of([0, 1, 1, 0, 1], drop_last=True, shuffle=False), 2) == (
        [2, 2], {5, 4}, False,
    )  # fmt: skip
    drawn = loaders.draw(of([0, 1, 1], sampler=WeightedRandomSampler([0, 1, 1], 8)), 2)
    assert drawn == ([0, 8], {3, 8}, True)
    assert loaders.draw(DataLoader([{"y": 1}] * 3), 2) == (None, {3}, False)
    assert loaders.draw([{"y": 1}], 2) == (None, frozenset(), False)
    assert loaders.draw([(X, ["MRN 1"], Y)], 2).counts is None


@pytest.mark.parametrize(
    ("loader", "lone"),
    [
        (of([0] * 9), True),
        (of([0] * 9, drop_last=True), False),
        (of([0] * 8), False),
        (of([0] * 9, batch_size=1), False),
        (of([0] * 9, batch_size=None), False),
        ([(X, Y)], False),
    ],
)
def test_a_last_batch_of_one_is_seen(loader, lone):
    assert loaders.has_lone_example(loader) is lone


@pytest.mark.parametrize(
    ("loader", "seen"),
    [
        (of([0, 1, 1, 0, 1]), True),
        ([(None, torch.tensor([0, 1, 1, 0]))], True),
        ([{"x": torch.zeros(4, 2), "y": np.array([0, 1, 1, 0])}], True),
        (of([0, 1, 1, 0, 1], shuffle=True), False),
        (of([0, 1, 1, 0, 1], batch_size=1), True),
        (of([0, 1, 1]), False),
        ([(torch.tensor([0, 1, 1, 0]), None)], False),
        ([], False),
        (Endless(), False),
    ],
)
def test_targets_that_predict_returned_last_are_seen_in_the_first_batch(loader, seen):
    truth, guess = np.array([0, 1, 1, 0, 1]), np.array([1, 1, 0, 0, 1])
    assert loaders.is_swapped(guess, truth, loader) is seen
    assert loaders.is_swapped(truth, guess, loader) is False
    assert loaders.is_swapped(truth, truth, loader) is False
