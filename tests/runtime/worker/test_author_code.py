"""The author's code: imported from where it is, seeded, and not quoted."""

import random
import sys

import numpy as np
import pytest
import torch

from federator.runtime.protocol.outcomes import Failure
from federator.runtime.worker import author_code
from federator.runtime.worker.author_code import import_task, reporting_failures, seed_all


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
    with pytest.raises(Failure) as caught, reporting_failures():
        import_task(tmp_path).look("MRN 4711")
    assert str(caught.value) == "KeyError in task.py, line 2"
    assert "MRN 4711" not in caught.value.write()
    assert "MRN 4711" in caplog.text, "it stays in the site's own log"
    with pytest.raises(Failure, match="deadline"), reporting_failures():
        raise Failure("late")


def test_seeds_follow_from_all_that_they_are_made_of():
    def drawn(*parts):
        seed_all(*parts)
        return float(torch.rand(())), float(np.random.rand()), random.random()

    assert drawn(1, 2, "north") == drawn(1, 2, "north")
    for other in ((1, 2, "south"), (1, 3, "north"), (12, "north")):
        assert not set(drawn(*other)) & set(drawn(1, 2, "north"))


def test_outside_the_authors_lines_the_part_and_the_library_are_told():
    with pytest.raises(Failure) as caught, reporting_failures(part="train"):
        torch.nn.Linear(2, 2)(torch.zeros(3))
    assert str(caught.value) == (
        "RuntimeError in train, outside the notebook's own lines (within torch)"
    )
    with pytest.raises(Failure) as caught, reporting_failures(part="predict"):
        {}["MRN 4711"]
    assert str(caught.value) == "KeyError in predict, outside the notebook's own lines"


def test_batchnorm_and_a_batch_of_one_are_told_with_what_to_do():
    with (
        pytest.raises(Failure, match=r"BatchNorm.*drop_last=True"),
        reporting_failures(part="train"),
    ):
        torch.nn.BatchNorm1d(3).train()(torch.zeros(1, 3))


def test_operators_that_torchvision_misses_are_declared_also_where_another_error_wraps_it(
    tmp_path, monkeypatch
):
    declared = []
    monkeypatch.setattr(
        author_code,
        "declare_torchvision_operators",
        lambda: declared.append(sys.modules.pop("task", 0)),
    )
    (tmp_path / "task.py").write_text(
        "from pathlib import Path\n"
        "tried = Path(__file__).with_name('tried')\n"
        "if not tried.exists():\n"
        "    tried.touch()\n"
        "    try:\n"
        "        raise RuntimeError('operator torchvision::nms does not exist')\n"
        "    except RuntimeError as error:\n"
        "        raise ModuleNotFoundError('Could not import module BertModel') from error\n"
    )
    assert import_task(tmp_path).tried.exists()
    assert declared
    (tmp_path / "task.py").write_text("raise ModuleNotFoundError('another')\n")
    with pytest.raises(ModuleNotFoundError, match="another"):
        import_task(tmp_path)
