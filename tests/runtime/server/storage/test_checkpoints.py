"""A run's folder: whole files, the newest checkpoint, a journal and a manifest."""

import numpy as np
import pytest

from federator.runtime.server.storage.checkpoints import RunFolder
from federator.runtime.weights.block_file import Block
from federator.runtime.weights.format import describe

WEIGHTS = {"a": np.array([1.0, 2.0], np.float32)}


def test_the_newest_checkpoint_comes_back_with_its_state(tmp_path):
    folder = RunFolder(tmp_path / "run")
    assert folder.last() is None
    folder.save(0, WEIGHTS)
    tensors = describe(WEIGHTS)
    with folder.drafts(10, tensors, {"m/a": tensors["a"]}) as (model, state):
        state.write(Block("m/a", 0, 2), np.ones(2))
        model.write(Block("a", 1, 2), np.full(1, 5.0))
        assert folder.last().round == 0, "a file is whole or not there"
    folder.save(9, WEIGHTS)
    last = folder.last()
    assert last.round == 10
    assert last.weights.load()["a"].tolist() == [0, 5]
    assert last.state.load()["m/a"].tolist() == [1, 1]


def test_a_file_that_was_being_written_when_the_server_died_is_no_checkpoint(tmp_path):
    folder = RunFolder(tmp_path)
    folder.save(1, WEIGHTS)
    (tmp_path / ".round-002.safetensors.part").write_bytes(b"half")
    assert folder.last().round == 1


def test_a_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(OSError):
        RunFolder(tmp_path).load(4)


def test_the_chosen_model_is_kept_under_its_own_name(tmp_path):
    folder = RunFolder(tmp_path)
    folder.finish(folder.save(1, WEIGHTS))
    kept = (tmp_path / "round-001.safetensors").read_bytes()
    assert (tmp_path / "model.safetensors").read_bytes() == kept
