"""Weights: the safetensors format, to the byte, and what is refused."""

import json

import numpy as np
import pytest
import safetensors.numpy
from flwr.app import RecordDict

from federator.runtime.protocol.messages import to_record, weights_in
from federator.runtime.weights import format as w

MODEL = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "layer.bias": np.array([1.5, -2.0], dtype=np.float64),
    "norm.num_batches_tracked": np.array(7, dtype=np.int64),
    "mask": np.array([True, False]),
    "half": np.array([0.5], dtype=np.float16),
}


def equal(left, right):
    return list(left) == list(right) and all(
        left[k].dtype == right[k].dtype
        and left[k].shape == right[k].shape
        and np.array_equal(left[k], right[k])
        for k in left
    )


def test_saved_weights_come_back_with_types_shapes_and_order(tmp_path):
    w.save(tmp_path / "model.safetensors", MODEL)
    found = w.load(tmp_path / "model.safetensors")
    assert equal(found, MODEL)


def test_the_files_are_what_the_safetensors_library_reads_and_writes(tmp_path):
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    w.save(ours, MODEL)
    assert equal(
        dict(sorted(safetensors.numpy.load_file(ours).items())), dict(sorted(MODEL.items()))
    )
    safetensors.numpy.save_file(MODEL, theirs)
    found = w.load(theirs)
    assert equal(dict(sorted(found.items())), dict(sorted(MODEL.items())))


def test_saving_leaves_nothing_but_the_file(tmp_path):
    w.save(tmp_path / "model.safetensors", MODEL)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_message_carries_the_same_weights():
    assert equal(weights_in(RecordDict({"arrays": to_record(MODEL)})), MODEL)


def test_loaded_weights_cannot_be_written_to(tmp_path):
    w.save(tmp_path / "model.safetensors", MODEL)
    with pytest.raises(ValueError, match="read-only"):
        w.load(tmp_path / "model.safetensors")["layer.bias"][0] = 1


def packed(header: object, numbers: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"short",
        (2**63).to_bytes(8, "little") + b"{}",
        packed(b"not json"),
        packed([]),
        packed({"a": ONE}),
        packed({"a": ONE}, b"12345"),
        packed({"a": {**ONE, "dtype": "O"}}, b"1234"),
        packed({"a": {**ONE, "shape": [2]}}, b"1234"),
        packed({"a": {**ONE, "shape": [-1]}}, b"1234"),
        packed({"a": {**ONE, "data_offsets": [4, 8]}}, b"12345678"),
        packed({"a": {**ONE, "shape": [2**62, 4]}}, b"1234"),
        packed({"a": ONE, "b": ONE}, b"1234"),
        packed({"a": {"shape": [1]}}, b"1234"),
    ],
)
def test_bytes_that_are_not_weights_are_refused(data):
    with pytest.raises(w.WeightsError):
        w.read_from(data)


def test_a_tensor_type_without_a_code_is_refused(tmp_path):
    with pytest.raises(w.WeightsError, match="complex64"):
        w.save(tmp_path / "model.safetensors", {"a": np.zeros(1, np.complex64)})
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer.bias": None}, "layer.bias is missing"),
        ({"patients": np.zeros(3)}, "1 tensor"),
        ({"layer.bias": np.zeros(2, np.float32)}, "float32"),
        ({"layer.bias": np.zeros(3)}, r"\[3\]"),
    ],
)
def test_an_update_has_exactly_the_models_tensors(change, message):
    update = {k: v for k, v in {**MODEL, **change}.items() if v is not None}
    with pytest.raises(w.WeightsError, match=message):
        w.require_same(w.describe(update), w.describe(MODEL))
    w.require_same(w.describe(MODEL), w.describe(MODEL))
