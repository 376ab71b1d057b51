"""What a site is told of its data; of the network: test_network.py."""

import os

import pytest
from rehearsals import lay_out, lay_out_site

from federator.convert import convert
from federator.runtime import __main__, data


def failures(findings):
    return [str(finding) for finding in findings if not finding.passed]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    root = tmp_path_factory.mktemp("repository")
    federation = lay_out(root, {"north": root / "data"}, "labels: [benign, malignant]\n")
    return convert(federation, root / "build").app


def test_data_that_are_as_they_must_be(tmp_path, app, monkeypatch, capsys):
    monkeypatch.setenv("FEDERATOR_DATA", str(lay_out_site(tmp_path / "data", 1)))
    monkeypatch.setenv("FEDERATOR_APP", str(app))
    monkeypatch.setenv("FEDERATOR_SITE", "north")
    # Outside a container the folder is not mounted read-only; there may be a torch without a GPU.
    assert __main__.main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "FAIL  the data folder is mounted read-only" in said
    assert "pass  train set: 64 examples (38 benign, 26 malignant)" in said
    for name in ("val set", "test set", "memory", "/tmp", "/dev/shm"):
        assert f"pass  {name}" in said


def test_data_that_are_not(tmp_path, app):
    absent = failures(data.look(tmp_path / "absent", app, "north"))
    assert "absent cannot be read: No such file or directory\n      the worker runs" in absent[0]
    (tmp_path / "empty").mkdir()
    assert "is empty" in failures(data.look(tmp_path / "empty", app, "north"))[0]
    single = lay_out_site(tmp_path / "single", 1, single=True)
    assert "examples of a single label only" in failures(data.look(single, app, "north"))[-1]
    (single / "labels.npy").unlink()
    broken = failures(data.look(single, app, "north"))[-1]
    assert "FileNotFoundError in task.py, line" in broken
    assert "more is said above" in broken


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path, app):
    folder = lay_out_site(tmp_path / "data", 1)
    (folder / "labels.npy").chmod(0)
    assert "labels.npy cannot be read" in failures(data.look(folder, app, "north"))[0]


def test_nothing_to_look_at(capsys):
    assert __main__.main(["doctor"]) == 1
    assert "give --server, --data or both" in capsys.readouterr().err
