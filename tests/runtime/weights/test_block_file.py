"""Weights on disk, whole or in parts, read piece by piece."""

import os

import numpy as np
import pytest

from federator.runtime.weights.block_file import Block, Watch, WeightFile
from federator.runtime.weights.format import WeightsError, describe, save, size

WEIGHTS = {
    "a": np.arange(1000, dtype=np.float32).reshape(10, 100),
    "empty": np.zeros((0, 3), np.float32),
    "n": np.array(3, np.int64),
    "b": np.linspace(0, 1, 77),
}


@pytest.fixture(params=[1, 3, 50])
def file(request, tmp_path):
    """The same weights in one file, or in several."""
    save(tmp_path / "whole", WEIGHTS)
    data = (tmp_path / "whole").read_bytes()
    step = -(-len(data) // request.param)
    paths = [tmp_path / f"{start:08d}" for start in range(0, len(data), step)]
    for start, path in zip(range(0, len(data), step), paths, strict=True):
        path.write_bytes(data[start : start + step])
    return WeightFile(*paths)


def test_it_is_described_without_its_numbers_being_read(file):
    assert file.tensors == describe(WEIGHTS)
    assert file.numbers == size(WEIGHTS)


def test_blocks_hold_every_number_once_and_in_order(file):
    found = {name: [] for name in WEIGHTS}
    for block in file.blocks(30):
        assert 0 < block.last - block.first <= 30
        found[block.name].extend(file.read(block))
    for name, array in WEIGHTS.items():
        assert found[name] == array.reshape(-1).tolist()
    assert file.read(Block("a", 3, 5)).dtype == np.float32


def test_all_of_it_can_be_loaded_and_copied(file, tmp_path):
    file.copy(tmp_path / "copy")
    for copy in (file, WeightFile(tmp_path / "copy")):
        for name, array in copy.load().items():
            np.testing.assert_array_equal(array, WEIGHTS[name])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_found(tmp_path, file, value):
    file.require_finite()
    save(tmp_path / "bad", {**WEIGHTS, "b": np.array([1.0, value])})
    with pytest.raises(WeightsError, match="tensor b has NaN or infinite values"):
        WeightFile(tmp_path / "bad").require_finite()


def test_what_is_no_file_of_weights_is_refused(tmp_path):
    for data in (b"", b"short", b"\xff" * 100):
        (tmp_path / "junk").write_bytes(data)
        with pytest.raises(WeightsError):
            WeightFile(tmp_path / "junk")


def test_a_file_that_was_cut_meanwhile_is_noticed(tmp_path):
    save(tmp_path / "whole", WEIGHTS)
    file = WeightFile(tmp_path / "whole")
    os.truncate(tmp_path / "whole", file.size - 8)
    with pytest.raises(WeightsError, match="shorter than it was"):
        file.read(Block("b", 0, 77))


def passed_by(path, step):
    """Return who has watched a file pass by, in pieces of so many bytes, the last one first."""
    watch, data = Watch(describe(WEIGHTS)), memoryview(path.read_bytes())
    for at in reversed(range(0, len(data), step)):
        watch.look(at, data[at : at + step])
    return watch


@pytest.mark.parametrize("step", [7, 8, 64, 100, 10**6])
@pytest.mark.parametrize(("name", "place"), [("a", (0, 0)), ("a", (9, 99)), ("b", 0), ("b", 76)])
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_they_are_found_while_the_file_passes_by(tmp_path, step, name, place, value):
    save(tmp_path / "good", WEIGHTS)
    passed_by(tmp_path / "good", step).require_finite(WeightFile(tmp_path / "good"))
    bad = {key: array.copy() for key, array in WEIGHTS.items()}
    bad[name][place] = value
    save(tmp_path / "bad", bad)
    with pytest.raises(WeightsError, match=f"tensor {name} has NaN or infinite values"):
        passed_by(tmp_path / "bad", step).require_finite(WeightFile(tmp_path / "bad"))


def test_they_are_found_in_a_file_that_is_laid_out_in_another_way(tmp_path):
    order = ["n", "b", "empty", "a"]
    bad = WEIGHTS["b"].copy()
    bad[3] = np.nan
    save(tmp_path / "bad", {name: {**WEIGHTS, "b": bad}[name] for name in order})
    with pytest.raises(WeightsError, match="tensor b has NaN or infinite values"):
        passed_by(tmp_path / "bad", 64).require_finite(WeightFile(tmp_path / "bad"))


def in_memory(path):
    with path.open("rb", buffering=0) as source:
        try:
            return os.preadv(source.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT) == 1
        except BlockingIOError:
            return False


def test_a_file_that_is_done_with_leaves_memory_and_can_still_be_read(tmp_path):
    save(tmp_path / "weights", WEIGHTS)
    file = WeightFile(tmp_path / "weights")
    with (tmp_path / "other").open("wb") as other:
        other.write(b"other")
        other.flush()
        os.fsync(other.fileno())
        os.posix_fadvise(other.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    if in_memory(tmp_path / "other"):
        pytest.skip(f"{tmp_path} is not on a disk (tmpfs?): its files cannot leave memory")
    assert in_memory(tmp_path / "weights")
    file.drop_page_cache()
    assert not in_memory(tmp_path / "weights")
    for name, expected in WEIGHTS.items():
        np.testing.assert_array_equal(file.load()[name], expected)
