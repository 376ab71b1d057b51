"""Room on disk is looked for before it is needed."""

import shutil
import subprocess
import sys
import time
from collections import namedtuple

import pytest

from federator.errors import RunError
from federator.runtime.server.storage.disk import TemporaryFolder, require_space, wait_for_removals

Usage = namedtuple("Usage", "total used free")


def test_what_two_folders_of_one_disk_need_is_added_up(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    free = shutil.disk_usage(tmp_path).free
    require_space({one: 10, two: 10})
    require_space({one: free * 2 // 3})
    with pytest.raises(RunError, match="GB free, and a round may need") as caught:
        require_space({one: free * 2 // 3, two: free * 2 // 3})
    assert str(two) in str(caught.value)


def test_what_is_to_be_removed_counts_as_room(tmp_path, monkeypatch):
    large, asked = tmp_path / "large", []
    large.mkdir()
    (large / "file").touch()
    rmtree = shutil.rmtree

    def slowly(folder, **how):
        time.sleep(0.2)
        rmtree(folder, **how)

    def usage(_):
        asked.append(large.exists())
        return Usage(10**9, 0, 0 if large.exists() else 10**9)

    monkeypatch.setattr("federator.runtime.server.storage.disk.shutil.rmtree", slowly)
    monkeypatch.setattr("federator.runtime.server.storage.disk.shutil.disk_usage", usage)
    TemporaryFolder(large)
    require_space({tmp_path: 10**8})
    assert asked == [True, False]


def test_what_is_removed_as_the_process_ends_is_gone_as_well(tmp_path):
    code = (
        "import sys, pathlib; from federator.runtime.server.storage.disk import TemporaryFolder\n"
        "lease = TemporaryFolder(pathlib.Path(sys.argv[1]))\n"
    )
    folder = tmp_path / "lent"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", code, folder], check=True)
    assert not folder.exists()
    TemporaryFolder(folder)  # it is no error that it is not there
    wait_for_removals()
