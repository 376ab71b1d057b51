"""Memory of two processes: of one length, of one mind, and believed in nothing but numbers."""

import os
from pathlib import Path

import numpy as np
import pytest

from federator.runtime.protocol.shared_memory import Memory, Update
from federator.runtime.weights.format import WeightsError, describe, head

WEIGHTS = {"a": np.arange(1000, dtype=np.float32), "n": np.array(3)}
OTHERS = {"a": np.ones(1000, np.float32), "n": np.array(4)}
HEAD = head(describe(WEIGHTS))


def test_what_one_writes_the_other_sees():
    ours = Memory.of(WEIGHTS)
    theirs = Memory(os.dup(ours.fd))
    assert np.array_equal(theirs.weights["a"], WEIGHTS["a"])
    assert theirs.weights["n"].shape == ()
    theirs.fill(OTHERS)
    for name, array in OTHERS.items():
        assert np.array_equal(ours.weights[name], array)


@pytest.mark.parametrize("length", [0, 100, 10**6])
def test_nobody_can_change_its_length(length):
    """Who reads from what another has cut off is killed."""
    ours = Memory.of(WEIGHTS)
    theirs = os.dup(ours.fd)
    for change in (os.ftruncate, lambda fd, to: os.pwrite(fd, b"x", to + 10**6)):
        with pytest.raises(PermissionError):
            change(theirs, length)
    os.close(theirs)
    assert np.array_equal(ours.weights["a"], WEIGHTS["a"])


def test_weights_that_do_not_fill_it_are_not_written():
    memory = Memory.of(WEIGHTS)
    for wrong in ({"a": OTHERS["a"]}, OTHERS | {"patients": np.zeros(8)}):
        with pytest.raises(WeightsError, match="bytes of weights for"):
            memory.fill(wrong)
    assert np.array_equal(memory.weights["a"], WEIGHTS["a"])


@pytest.mark.parametrize("data", [b"x", b"junk" * 10])
def test_not_everything_is_weights(data):
    memory = Memory.new(len(data))
    memory.buffer[:] = data
    with pytest.raises(WeightsError):
        _ = memory.weights


def test_it_is_let_go_with_its_object():
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        memory = Memory.of(WEIGHTS)
        other = Memory(os.dup(memory.fd))
    del memory, other
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("step", [7, len(HEAD), 4096])
def test_nothing_leaves_before_an_update_s_numbers_but_what_the_link_says(step):
    update = Update(HEAD, Memory.of(OTHERS))
    assert update.has_head
    whole = bytes(update.memory.buffer)
    update.memory.buffer[:20] = b"Jane Doe, MRN 4711 ."
    assert not update.has_head
    parts = [update.read(slice(at, at + step)) for at in range(0, update.size, step)]
    assert b"".join(piece for pieces in parts for piece in pieces) == whole
    assert np.array_equal(update.weights["a"], OTHERS["a"])
