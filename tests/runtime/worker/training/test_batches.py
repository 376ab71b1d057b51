"""The author's ``train`` gets so many batches, and what it waits for is told."""

import time

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from federator.runtime.protocol.notices import Notice
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.training import batches
from federator.runtime.worker.training.batches import Training, TrainingBatches

NET = torch.nn.Linear(1, 1)


def loader(n=10, batch=4, shuffle=False):
    return DataLoader(TensorDataset(torch.arange(n)), batch, shuffle=shuffle)


def drawn(given):
    return [batch[0].tolist() for batch in given]


def test_without_steps_a_loader_is_as_it_was():
    given = TrainingBatches(loader(), None)
    assert isinstance(given, DataLoader)
    assert (len(given), given.batch_size, len(given.dataset)) == (3, 4, 10)
    for _ in range(2):
        assert drawn(given) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = given.absent


@pytest.mark.parametrize(("steps", "last"), [(2, [4, 5, 6, 7]), (3, [8, 9]), (7, [0, 1, 2, 3])])
def test_large_and_small_sites_train_on_as_many_batches(steps, last):
    given = TrainingBatches(loader(), steps)
    for _ in range(2):  # epochs
        found = drawn(given)
        assert len(found) == len(given) == steps
        assert found[-1] == last


def test_a_shuffled_set_is_shuffled_anew_each_time_it_ends():
    torch.manual_seed(1)
    found = drawn(TrainingBatches(loader(8, shuffle=True), 6))
    passes = [[*found[start], *found[start + 1]] for start in (0, 2, 4)]
    assert all(sorted(one) == list(range(8)) for one in passes)
    assert passes[0] != passes[1] != passes[2]


def test_an_endless_loader_ends_after_its_steps_and_an_empty_one_at_once():
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.tensor(1)

    assert len(drawn(TrainingBatches(DataLoader(Endless(), 2), 5))) == 5
    assert list(TrainingBatches([], 5)) == []


class Slow:
    """Ten batches, of which each takes so many seconds to read."""

    def __init__(self, seconds):
        self.seconds = seconds

    def __iter__(self):
        for number in range(10):
            time.sleep(self.seconds)
            yield number


def train(computing):
    def call(_net, trainloader, _valloader, epochs, **_more):
        for _ in range(epochs):
            for _ in trainloader:
                time.sleep(computing)

    return call


def run(training, waiting, computing, epochs=1):
    return training.run(train(computing), NET, {"train": Slow(waiting), "val": None}, epochs, {})


def test_training_that_waits_for_its_batches_is_told_once_in_a_run(monkeypatch):
    monkeypatch.setattr(batches, "_SHORT", 0.05)
    training = Training(None)
    (told,) = run(training, 0.02, 0.002)
    assert (told.code, told.set) == ("slow-loader", "train")
    assert 60 < told.value < 100
    assert 0 < told.other <= 50  # batches a second
    assert "num_workers" in str(told)
    assert run(training, 0.02, 0.002) == []
    assert run(Training(None), 0.001, 0.05) == []


def test_training_of_a_moment_is_not_told_of():
    assert run(Training(None), 0.002, 0.0) == []


def test_a_failure_of_train_is_told_as_such():
    def broken(*_):
        raise KeyError("Jane")

    with pytest.raises(Failure, match="KeyError in train"):
        Training(None).run(broken, NET, {"train": [], "val": None}, 1, {})


def test_steps_over_a_set_that_nothing_shuffles_are_told():
    assert Training(2).look_ahead(loader()) == [Notice("same-batches", "train", "", 2, 3)]
    for steps, given in ((None, loader()), (3, loader()), (2, loader(shuffle=True)), (2, [1] * 9)):
        assert Training(steps).look_ahead(given) == []


def test_another_model_that_train_returns_is_told():
    other = torch.nn.Linear(1, 1)
    sets = {"train": [], "val": None}
    assert Training(None).run(lambda *_: other, NET, sets, 1, {}) == [Notice("returned")]
    assert Training(None).run(lambda *_: NET, NET, sets, 1, {}) == []
