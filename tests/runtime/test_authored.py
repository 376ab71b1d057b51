"""The author's code: imported from where it is, seeded, and not quoted."""

import random
import sys

import numpy as np
import pytest
import torch

from federator.runtime.authored import import_task, seed_all, telling
from federator.runtime.outcomes import Failure


@pytest.fixture(autouse=True)
def path(monkeypatch):
    """Put Python's path back."""
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_each_folder_s_own_code_is_imported(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "task.py").write_text(f"NAME = {name!r}\n")
        assert name == import_task(tmp_path / name).NAME


def test_what_is_told_of_an_exception_is_where_and_not_what(tmp_path, caplog):
    (tmp_path / "task.py").write_text("def look(row):\n    return {}[row]\n")
    with pytest.raises(Failure) as caught, telling():
        import_task(tmp_path).look("MRN 4711")
    assert str(caught.value) == "KeyError in task.py, line 2"
    assert "MRN 4711" not in caught.value.write()
    assert "MRN 4711" in caplog.text, "it stays in the site's own log"
    with pytest.raises(Failure, match="deadline"), telling():
        raise Failure("late")


def test_seeds_follow_from_all_that_they_are_made_of():
    def drawn(*parts):
        seed_all(*parts)
        return float(torch.rand(())), float(np.random.rand()), random.random()

    assert drawn(1, 2, "north") == drawn(1, 2, "north")
    for other in ((1, 2, "south"), (1, 3, "north"), (12, "north")):
        assert not set(drawn(*other)) & set(drawn(1, 2, "north"))
