"""A site's volume: what is found there after restarts, stops and other runs."""

import os

import numpy as np
import pytest

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.weights.format import load
from federator.runtime.worker.personal.volume import Volume


def numbered(number):
    return {"bn.weight": np.full(3, number, np.float32)}


def rounds(folder):
    return sorted(path.name for path in folder.glob("round-*"))


@pytest.mark.parametrize(
    ("every_round", "left"), [(False, [4, 7]), (True, [1, 2, 4, 7])], ids=["last two", "all"]
)
def test_the_last_weights_up_to_a_round_are_found(tmp_path, every_round, left):
    volume = Volume(tmp_path, every_round)
    for number in (1, 2, 4, 7):
        volume.keep("one", "federation", number, numbered(number))
    kept = tmp_path / "one" / "federation"
    assert rounds(kept) == [f"round-{number:03d}.safetensors" for number in left]
    again = Volume(tmp_path, every_round)  # another worker
    for asked, found in ((9, 7), (7, 7), (6, 4), (4, 4)):
        number, weights = again.newest("one", "federation", asked)
        assert number == found and weights["bn.weight"].tolist() == [found] * 3
    assert again.newest("one", "federation", 0) is None
    assert again.newest("one", "north", 9) is None, "each model has its own"
    assert again.newest("two", "federation", 9) is None, "and each run"


def test_weights_of_rounds_after_the_one_that_a_run_resumes_from_are_gone(tmp_path):
    volume = Volume(tmp_path)
    for number in (4, 5):
        volume.keep("one", "federation", number, numbered(number))
    assert volume.newest("one", "federation", 4)[0] == 4, "the server has lost round 5"
    volume.keep("one", "federation", 5, numbered(55))
    assert volume.newest("one", "federation", 9)[1]["bn.weight"][0] == 55
    volume.keep("one", "federation", 2, numbered(2))
    assert volume.newest("one", "federation", 9)[0] == 2


def test_of_earlier_runs_the_last_one_stays(tmp_path):
    volume = Volume(tmp_path)
    for age, run in enumerate(("one", "two", "three")):
        volume.keep(run, "federation", 1, numbered(1))
        os.utime(tmp_path / run, (age, age))
    volume.keep("three", "federation", 2, numbered(2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["three", "two"]


def test_a_file_that_is_damaged_is_passed_over(tmp_path):
    volume = Volume(tmp_path)
    for number in (1, 2):
        volume.keep("one", "federation", number, numbered(number))
    (tmp_path / "one" / "federation" / "round-002.safetensors").write_bytes(b"cut off")
    assert volume.newest("one", "federation", 2)[0] == 1


def test_a_whole_model_is_for_the_people_at_the_site(tmp_path):
    Volume(tmp_path).keep_whole("one", "federation", numbered(3))
    kept = load(tmp_path / "one" / "federation" / "model.safetensors")
    assert kept["bn.weight"].tolist() == [3, 3, 3]
    assert Volume(tmp_path).newest("one", "federation", 9) is None


def test_a_site_without_a_volume_says_so(tmp_path):
    with pytest.raises(Failure, match="no folder for the tensors that stay there"):
        Volume(None).newest("one", "federation", 1)
    (tmp_path / "file").touch()
    with pytest.raises(Failure, match="cannot be written to its volume"):
        Volume(tmp_path / "file").keep("one", "federation", 1, numbered(1))
