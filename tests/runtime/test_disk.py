"""Room on disk is looked for before it is needed."""

import shutil

import pytest

from federator.errors import RunError
from federator.runtime.disk import require_space


def test_what_two_folders_of_one_disk_need_is_added_up(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    free = shutil.disk_usage(tmp_path).free
    require_space({one: 10, two: 10})
    require_space({one: free * 2 // 3})
    with pytest.raises(RunError, match="GB left, and a round may need") as caught:
        require_space({one: free * 2 // 3, two: free * 2 // 3})
    assert str(two) in str(caught.value)
