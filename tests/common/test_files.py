"""A folder that appears whole or not at all."""

import pytest

from federator.common.files import renewed


def contents(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def test_what_is_new_takes_the_place_of_what_was(tmp_path):
    for name in ("old", "new"):
        with renewed(tmp_path / "a" / "b") as folder:
            (folder / name).touch()
    assert contents(tmp_path) == ["a", "a/b", "a/b/new"]


def test_a_block_that_fails_changes_nothing(tmp_path):
    with renewed(tmp_path / "b") as folder:
        (folder / "old").touch()
    with pytest.raises(KeyboardInterrupt), renewed(tmp_path / "b") as folder:
        (folder / "new").touch()
        raise KeyboardInterrupt
    assert contents(tmp_path) == ["b", "b/old"]


def test_a_move_that_fails_brings_back_what_was(tmp_path):
    with renewed(tmp_path / "b") as folder:
        (folder / "old").touch()
    with pytest.raises(OSError, match="No such file"), renewed(tmp_path / "b") as folder:
        folder.rmdir()
    assert contents(tmp_path) == ["b", "b/old"]
