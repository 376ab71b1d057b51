"""Failures in words."""

import json

import pytest

from federator.runtime.protocol.outcomes import REASONS, Failure


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_words_and_is_read_as_it_was_written(reason):
    failure = Failure(reason, "KeyError", "task.py", 7, "train", "val", "int64", (8, 3), 2)
    assert "{" not in str(failure)
    assert vars(Failure.read(failure.write())) == vars(failure)
    assert str(Failure(reason))


@pytest.mark.parametrize(
    "text",
    ["", "[", "{}", "7", "null", '{"reason": "Jane"}', '{"reason": ["labels"]}', "[" * 10_000,
     '{"reason": "labels", "x": 1}', '{"reason": "labels", "count": "many"}', "9" * 10_000,
     '{"reason": "labels", "shape": 7}', '{"reason": "labels", "shape": [1.5]}',
     '{"reason": "labels", "shape": ["7"]}', '{"reason": "exception", "line": [1]}',
     '{"reason": "exception", "line": "1"}', '{"reason": "exception", "line": -1}',
     '{"reason": "exception", "file": 5}', '{"reason": "exception", "line": true}',
     '{"reason": "labels", "type": "' + "x" * 20_000 + '"}'],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_what_is_no_failure_is_read_as_unknown(text):
    assert Failure.read(text).reason == "unknown"


def test_what_was_found_is_told_beside_what_is_needed():
    told = str(Failure("width", shape=(8, 2), count=3))
    assert told.startswith("the model's output has 2 column(s), the federation file names 3 labels")
    assert "float32 of shape (8,)" in str(Failure("scores", dtype="float32", shape=(8,), count=3))
    assert json.loads(Failure("width", shape=(8, 2)).write())["shape"] == [8, 2]
