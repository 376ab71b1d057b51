"""Norms, distances and cosines of updates are those of the whole vectors, in bounded memory."""

import sys
import tracemalloc

import numpy as np
import pytest

from federator.runtime.server.aggregation import geometry
from federator.runtime.server.aggregation.geometry import Geometry, inner_products, measure
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

BUFFERS = {"mean"}


def files(root, *models):
    for number, model in enumerate(models):
        save(root / str(number), model)
    first, *updates = (WeightFile(root / str(number)) for number in range(len(models)))
    return first, updates


def drawn(rng):
    return {
        "weight": rng.normal(size=(9, 7)).astype(np.float32),
        "half": rng.normal(size=5).astype(np.float16),
        "mean": rng.normal(size=3),
        "count": rng.integers(0, 9, 4),
    }


def vector(model, old, names):
    return np.concatenate(
        [(model[name].astype(float) - old[name].astype(float)).ravel() for name in names]
    )


@pytest.mark.parametrize("block", [4, 2**16])
def test_they_are_those_of_the_whole_vectors(tmp_path, monkeypatch, block):
    monkeypatch.setattr(geometry, "BLOCK", block)
    rng = np.random.default_rng(1)
    old, *models = (drawn(rng) for _ in range(5))
    found = measure(*files(tmp_path, old, *models), BUFFERS)
    whole = np.stack([vector(model, old, ("weight", "half")) for model in models])
    lengths = np.linalg.norm(whole, axis=1)
    np.testing.assert_allclose(found.norms, lengths)
    apart = ((whole[:, None] - whole) ** 2).sum(axis=2)
    np.testing.assert_allclose(found.distances, apart, atol=1e-9)
    for site, cosine in enumerate(found.cosines):
        others = np.delete(whole / lengths[:, None], site, axis=0).mean(axis=0)
        expected = whole[site] @ others / lengths[site] / np.linalg.norm(others)
        assert cosine == pytest.approx(expected)
    moved = np.stack([vector(model, old, ["mean"]) for model in models])
    np.testing.assert_allclose(found.buffers, moved @ moved.T)


def test_a_long_update_does_not_decide_what_direction_the_others_have():
    ways = np.array([[1.0, 0.1], [1.0, -0.1], [1.0, 0.0], [-1000.0, 0.0]])
    *honest, odd = Geometry(ways @ ways.T, np.zeros((4, 4))).cosines
    assert min(honest) > 0.9 and odd < -0.9


def test_where_there_is_no_direction_there_is_no_cosine():
    one = Geometry(np.eye(1), np.zeros((1, 1)))
    assert np.isnan(one.cosines).all()
    ways = np.array([[1.0], [0.0], [-1.0]])
    known = np.isnan(Geometry(ways @ ways.T, np.zeros((3, 3))).cosines)
    assert known.tolist() == [False, True, False]


def test_a_norm_beyond_all_numbers_is_the_largest(tmp_path):
    old, far = {"a": np.zeros(2)}, {"a": np.full(2, 1e200)}
    norms = measure(*files(tmp_path, old, far, old), ()).norms
    assert norms.tolist() == [sys.float_info.max, 0.0]


@pytest.mark.parametrize("count", [3, geometry._FEW + 1])
def test_a_change_beyond_float32_hides_nobody_else(tmp_path, count):
    """Neither its own norm nor the others' directions."""
    old = {"a": np.full(9, -3e38, np.float32)}
    honest = [{"a": old["a"] * np.float32(0.9 - 0.01 * site)} for site in range(count - 1)]
    found = measure(*files(tmp_path, old, *honest, {"a": np.full(9, 3e38, np.float32)}), ())
    assert found.norms[-1] == pytest.approx(6e38 * 3, rel=1e-6)
    assert np.isfinite(found.cosines).all()


def test_memory_depends_neither_on_the_model_nor_on_the_number_of_sites(tmp_path, monkeypatch):
    monkeypatch.setattr(geometry, "AT_ONCE", 2**18)

    def peak(size, sites):
        first, (update,) = files(tmp_path, *({"a": np.ones(size, np.float32)} for _ in range(2)))
        tracemalloc.start()
        measure(first, [update] * sites, ())
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    least = peak(2**21, 8)
    assert peak(2**23, 8) < 1.5 * least
    assert peak(2**21, 32) < 1.5 * least


@pytest.mark.parametrize("size", [1e-37, 1e-22, 1.0, 1e19, 3e38])
@pytest.mark.parametrize("numbers", [1, 1000, 2**17])
def test_products_in_float32_keep_four_digits_of_a_norm_of_any_size(size, numbers):
    rng = np.random.default_rng(numbers)
    drawn = (rng.uniform(0.5, 1.0, (3, numbers)) * size).astype(np.float32)
    changes, old = [*drawn, np.full(numbers, size, np.float32)], np.zeros(numbers, np.float32)
    found = np.sqrt(np.diag(inner_products(old, changes, np.float32)))
    exact = [np.linalg.norm(change.astype(float)) for change in changes]
    np.testing.assert_allclose(found, exact, rtol=2e-5)
