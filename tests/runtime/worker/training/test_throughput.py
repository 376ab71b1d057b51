"""How fast a training set is read, beside how fast the model computes."""

import time

import torch
from torch import nn

from federator.runtime.worker.training.throughput import measure


class Slow(list):
    """Batches of which each takes 20 ms to read."""

    def __iter__(self):
        for batch in super().__iter__():
            time.sleep(0.02)
            yield batch


class Sleeping(nn.Module):
    """A model that takes 30 ms or more."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, x):
        time.sleep(0.03)
        return self.layer(x)


BATCH = (torch.ones(3, 4), torch.zeros(3))


def test_reading_and_computing_are_measured_each_for_itself():
    found = measure(Sleeping(), Slow([BATCH] * 5))
    assert found.reading >= 0.02
    assert found.computing >= 0.03
    quick = measure(nn.Linear(4, 2), Slow([BATCH] * 5))
    assert quick.computing < 0.02 <= quick.reading


def test_reading_ends_after_some_seconds():
    began = time.monotonic()
    measure(nn.Linear(4, 2), Slow([BATCH] * 1000), seconds=0.1)
    assert time.monotonic() - began < 5


def test_what_cannot_be_told_is_left_out():
    for batch in ({"x": 1}, (["a"], [1]), (torch.ones(3, 5), torch.zeros(3)), torch.ones(3, 4)):
        found = measure(nn.Linear(4, 2), [batch])
        assert found.computing is None and found.reading >= 0
    assert measure(nn.Linear(4, 2), []) is None
