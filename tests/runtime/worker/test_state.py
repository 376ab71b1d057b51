"""A model's weights: taken, filled in, and compared."""

import copy

import numpy as np
import pytest
import torch

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker.state import fill, has_changed, take


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_what_is_taken_can_be_filled_in(dtype):
    net, other = torch.nn.Linear(3, 2).to(dtype), torch.nn.Linear(3, 2).to(dtype)
    taken = take(net)
    fill(other, taken)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))
    assert not has_changed(other, taken)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.float8_e4m3fn])
def test_a_tensor_of_a_type_that_cannot_travel_is_told_by_its_name(dtype):
    net = torch.nn.Linear(3, 2)
    net.register_buffer("scale", torch.ones(2).to(dtype))
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(Failure) as caught:
        take(net)
    assert str(caught.value) == f"Model() has a tensor of a type that cannot travel ({name}): scale"


def test_a_change_of_one_number_is_seen_and_buffers_are_none():
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    given = take(net)
    net.train()(torch.ones(4, 3))
    assert not np.array_equal(take(net)["1.running_mean"], given["1.running_mean"])
    assert not has_changed(net, given)
    with torch.no_grad():
        net[0].weight[1, 2] = torch.nextafter(net[0].weight[1, 2], torch.tensor(9.0))
    assert has_changed(net, given)


def test_an_average_that_bfloat16_cannot_hold_is_no_change():
    net = torch.nn.Linear(3, 2).bfloat16()
    given = {name: array * np.float32(1.0001) for name, array in take(net).items()}
    fill(net, given)
    assert not has_changed(net, given)


def test_parameters_that_are_shared_or_frozen_are_compared_too():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    net.requires_grad_(False)
    given = take(net)
    assert not has_changed(net, given)
    net[0].weight.data += 1
    assert has_changed(net, given)
    assert has_changed(copy.deepcopy(net), given)
