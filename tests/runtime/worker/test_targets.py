"""What labels are taken for: class numbers, or what they are told to be instead."""

import numpy as np
import pytest
import torch

from federator.runtime.protocol.evaluation.labels import FORMS
from federator.runtime.worker import targets
from federator.runtime.worker.targets import form_of, read_target


@pytest.mark.parametrize(
    ("labels", "read"),
    [
        ([0, 1], [0, 1]),
        ((1, 0, 1), [1, 0, 1]),
        ([0.0, 1.0], [0, 1]),
        (torch.tensor([[1], [0]]), [1, 0]),
        (torch.tensor([[1.0], [0.0]], requires_grad=True), [1, 0]),
        (torch.tensor([1, 0], dtype=torch.bfloat16), [1, 0]),
        ([True, False], [1, 0]),
        (torch.tensor([2], dtype=torch.uint8), [2]),
        ([], []),
    ],
)
def test_class_numbers_are_whole_numbers_in_a_row(labels, read):
    target = read_target(labels, 3)
    assert target.classes is not None
    assert (target.classes.tolist(), target.classes.dtype, target.form) == (read, np.int64, "")


@pytest.mark.parametrize(
    ("labels", "form", "dtype", "shape"),
    [
        (torch.eye(2), targets.COLUMNS, "float32", (2, 2)),
        (np.zeros((4, 3), np.int64), targets.COLUMNS, "int64", (4, 3)),
        (torch.zeros(4, 8, 8, dtype=torch.int64), targets.MASKS, "int64", (4, 8, 8)),
        (torch.zeros(4, 1, 8, 8, 8), targets.MASKS, "float32", (4, 1, 8, 8, 8)),
        ([61.5, 70.25], targets.REAL, "float64", (2,)),
        (torch.tensor([[0.5], [1.0]]), targets.REAL, "float32", (2, 1)),
        ([0, float("nan")], targets.NOT_FINITE, "float64", (2,)),
        ([61, 70], targets.OUTSIDE, "int64", (2,)),
        ([61.0, 70.0], targets.OUTSIDE, "float64", (2,)),
        ([-1, 0], targets.OUTSIDE, "int64", (2,)),
        (7, "a single number", "int64", ()),
        (["ill", "healthy"], targets.TEXTS, "", ()),
        ([{"boxes": 1}], targets.OBJECTS, "", ()),
        ({"boxes": 1}, targets.OBJECTS, "", ()),
        (None, targets.OBJECTS, "", ()),
        ([[1], [2, 3]], targets.RAGGED, "", ()),
        ([torch.zeros(3), torch.ones(3)], targets.ARRAYS, "", ()),
        ((torch.zeros(3), torch.ones(3)), targets.ARRAYS, "", ()),
    ],
)
def test_what_is_no_class_number_is_named_with_its_type_and_shape(labels, form, dtype, shape):
    assert read_target(labels, 3) == (None, form, dtype, shape)
    assert form in FORMS


def test_a_masked_array_gives_no_value_that_its_mask_hides():
    for kind in (np.int64, np.float32):
        labels = np.ma.masked_array(np.array([1, 0, 1], kind), [False, False, True])
        assert read_target(labels, 2).form == targets.NOT_FINITE
        read = read_target(labels[:2], 2).classes
        assert read is not None
        assert read.tolist() == [1, 0]


def test_a_sparse_tensor_is_read():
    read = read_target(torch.tensor([1, 0, 2]).to_sparse(), 3).classes
    assert read is not None
    assert read.tolist() == [1, 0, 2]


def test_the_largest_numbers_of_a_type_are_no_labels():
    assert read_target(np.array([2**64 - 1], np.uint64), 3).form == targets.OUTSIDE
    assert read_target([float(2**63)], 3).form == targets.OUTSIDE


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (None, "nothing"),
        ({}, "a dictionary"),
        ((1, 2, 3), "a tuple of 3"),
        ([1] * 10, "a list"),
        ("x", "a text"),
        (0.5, "a single number"),
        (np.zeros(2), "one array"),
        (torch.zeros(2), "one tensor"),
        (object(), "another object"),
    ],
)
def test_objects_are_named_in_words_that_may_leave(value, form):
    assert form_of(value) == form
    assert form in FORMS
