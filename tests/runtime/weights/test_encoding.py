"""Weights in fewer bytes: what is lost on the way, and that it does not add up."""

import numpy as np
import pytest
import torch

from federator.runtime.server.storage.store import Store
from federator.runtime.weights.encoding import (
    model_form,
    read_model,
    restore,
    update_form,
    write_model,
    write_update,
)
from federator.runtime.weights.format import WeightsError, describe, file_size

ENCODINGS = ["float16", "bfloat16", "int8"]
RNG = np.random.default_rng(4)
MODEL = {
    "w": RNG.normal(size=(300, 301)).astype(np.float32),
    "wide": RNG.normal(size=(5, 7)),
    "long": RNG.normal(size=5000).astype(np.float32),
    "variances": np.exp(RNG.normal(size=64) * 4).astype(np.float32) * 1e5,
    "scalar": np.array(0.5, np.float32),
    "empty": np.zeros((0, 3), np.float32),
    "batches": np.array(3),
}
# How far off a number is, at most: of the model by its own size, of an update by the largest step.
MODEL_ERROR = {"float16": 2**-11, "bfloat16": 2**-8, "int8": 2**-11}
STEP_ERROR = {"float16": 2**-11, "bfloat16": 2**-8, "int8": 0.5 / 127}


def steps(size):
    return {n: (a + RNG.normal(size=a.shape) * size).astype(a.dtype)
            if a.dtype.kind == "f" else a + 1 for n, a in MODEL.items()}  # fmt: skip


class StoreClient:
    """A server's store and a site, and what goes between them."""

    def __init__(self, folder, encoding):
        self.store, self.encoding, self.left = Store(folder / "store"), encoding, {}

    def down(self, model):
        form = model_form(model.tensors, self.encoding)
        carried = self.store.make(form, lambda out: write_model(model, self.encoding, out))
        assert carried.size == file_size(form)
        return carried

    def round(self, model, train):
        """Return the model after a round of one site."""
        carried = self.down(model)
        given = read_model(carried.load(), model.tensors, self.encoding)
        packed = write_update(given, train(given), self.encoding, self.left)
        assert describe(packed) == update_form(carried.tensors, self.encoding)
        came = self.store.keep(packed)
        return self.store.make(model.tensors, lambda out: restore(came, model, self.encoding, out))


@pytest.fixture(params=ENCODINGS)
def way(request, tmp_path):
    return StoreClient(tmp_path, request.param)


def test_a_model_arrives_rounded_in_half_of_the_bytes(way):
    model = way.store.keep(MODEL)
    carried = way.down(model)
    assert carried.size < 0.51 * model.size
    given = read_model(carried.load(), model.tensors, way.encoding)
    assert describe(given) == describe(MODEL)
    for name, array in given.items():
        np.testing.assert_allclose(array, MODEL[name], rtol=MODEL_ERROR[way.encoding], atol=1e-7)
    for name in ("variances", "scalar", "batches"):
        np.testing.assert_array_equal(given[name], MODEL[name])


def test_an_update_is_restored_as_a_step_from_the_exact_model(way):
    after = steps(1e-3)
    taken = {}

    def train(given):
        taken.update({n: after[n] - MODEL[n] for n in MODEL})
        return {n: (given[n] + taken[n]).astype(a.dtype) for n, a in MODEL.items()}

    restored = way.round(way.store.keep(MODEL), train).load()
    assert describe(restored) == describe(MODEL)
    for name, array in restored.items():
        most = np.abs(taken[name]).max(initial=0)
        error = most * STEP_ERROR[way.encoding] + 2**-23 * 8
        np.testing.assert_allclose(array, after[name], rtol=0, atol=error)
    for name in ("variances", "scalar", "batches"):
        np.testing.assert_array_equal(restored[name], train(MODEL)[name])


def test_steps_that_rounding_hides_from_the_sites_add_up(way):
    model = way.store.keep({"w": np.full(5000, 100, np.float32)})
    for _ in range(100):
        model = way.round(model, lambda given: {"w": given["w"] + np.float32(0.001)})
    np.testing.assert_allclose(model.load()["w"], 100.1, rtol=3e-5)


def test_steps_as_small_as_a_double_can_say_add_up(way):
    model = way.store.keep({"w": np.full((2, 3), 1.0)})
    for _ in range(100):
        model = way.round(model, lambda given: {"w": given["w"] + 1e-8})
    np.testing.assert_allclose(model.load()["w"] - 1, 1e-6, rtol=0, atol=2**-24)


def test_what_rounding_left_over_is_sent_the_next_time(tmp_path):
    """Beside a step of 1, one of 0.001 is less than what int8 can say."""
    way, step = StoreClient(tmp_path, "int8"), np.full(4096, 0.001, np.float32)
    step[0] = 1
    model = way.store.keep({"w": np.zeros(4096, np.float32)})
    for _ in range(100):
        model = way.round(model, lambda given: {"w": given["w"] + step})
    np.testing.assert_allclose(model.load()["w"], step * 100, atol=1 / 127)


def test_bfloat16_is_rounded_as_torch_does(tmp_path):
    way = StoreClient(tmp_path, "bfloat16")
    numbers = (RNG.normal(size=10_000) * 10.0 ** RNG.integers(-30, 30, 10_000)).astype(np.float32)
    numbers[:3] = 0, -0.0, 1 + 2**-8
    carried = way.down(way.store.keep({"w": numbers})).load()["w"]
    theirs = torch.from_numpy(numbers).to(torch.bfloat16).view(torch.uint16).numpy()
    np.testing.assert_array_equal(carried, theirs)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_not_finite_stays_so(way, wrong):
    def train(given):
        trained = {name: array.copy() for name, array in given.items()}
        trained["w"][7, 7] = wrong
        return trained

    model = way.store.keep(MODEL)
    with pytest.raises(WeightsError, match="tensor w has NaN or infinite values"):
        way.round(model, train).require_finite()
    way.round(model, dict).require_finite()  # the next is as if nothing had been


def test_a_model_too_large_for_float16_is_told(tmp_path):
    large = Store(tmp_path / "one").keep({"w": np.array([[1.0, 70_000.0]], np.float32)})
    with pytest.raises(WeightsError, match="tensor w is too large for float16: use bfloat16"):
        StoreClient(tmp_path, "float16").down(large)
    StoreClient(tmp_path, "bfloat16").down(large)
