"""The working directory of the author's code."""

import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pytest

from federator.runtime.worker.sandbox.scratch import Workspace


@pytest.fixture
def folders(tmp_path):
    """Return an app with assets and a data folder, some of it of the same names."""
    app, data = tmp_path / "app", tmp_path / "data"
    for path in ("app/assets/vocab.txt", "app/assets/scales/age.json", "data/scales/dose.json",
                 "data/scales/age.json", "data/images/1.png", "data/labels.csv"):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    return app, data


def test_relative_paths_lead_to_data_and_assets_and_what_is_written_to_neither(folders):
    app, data = folders
    before = Path.cwd()
    with Workspace(app, data).entered():
        assert Path("images/1.png").read_text() == "data/images/1.png"
        assert Path("labels.csv").resolve() == data / "labels.csv"
        assert Path("vocab.txt").read_text() == "app/assets/vocab.txt"
        assert Path("scales/dose.json").read_text() == "data/scales/dose.json"
        assert Path("scales/age.json").read_text() == "app/assets/scales/age.json", "the app's"
        Path("best.pt").write_text("a model")
        Path("lightning_logs").mkdir()
    assert Path.cwd() == before
    assert sorted(path.name for path in data.iterdir()) == ["images", "labels.csv", "scales"]
    assert sorted(path.name for path in app.iterdir()) == ["assets"]


def test_each_is_empty_and_goes_with_its_object(folders):
    one, two = Workspace(*folders), Workspace(None, folders[1])
    with one.entered():
        place = Path.cwd()
        Path("best.pt").touch()
    with two.entered():
        assert not Path("best.pt").exists()
    del one
    assert not place.exists()
    assert (folders[1] / "labels.csv").exists(), "a link is removed, not what it leads to"


def test_a_process_of_a_loader_does_not_remove_it(folders):
    workspace = Workspace(*folders)
    process = get_context("fork").Process(target=workspace._removal)
    process.start()
    process.join()
    with workspace.entered():
        assert Path("labels.csv").exists()


def test_a_process_has_no_cache_and_no_home_of_a_persons(tmp_path):
    program = """
import os, tempfile
from pathlib import Path
from federator.runtime.worker.sandbox.scratch import settle
tempfile.gettempdir()
settle()
print(*map(str, (Path.home(), tempfile.gettempdir(), os.environ.get("XDG_CACHE_HOME"))))
print(os.listdir(Path.home()))
"""
    given = {"HOME": "/home/ada", "XDG_CACHE_HOME": "/home/ada/cache", "TMPDIR": str(tmp_path)}
    said = subprocess.check_output(
        [sys.executable, "-c", program], text=True, env=os.environ | given
    )
    home, temporary, cache, *content = said.split()
    assert Path(home).parent == Path(temporary) and Path(temporary).parent == tmp_path
    assert (cache, content) == ("None", ["[]"])
