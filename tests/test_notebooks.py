"""The filled notebooks on real data: as central trainings, and as federations."""

import re
import shutil
import subprocess
import sys

import nbclient
import nbformat
import pytest
from fixtures.paths import ROOT
from fixtures.rehearsals import events, rehearse

from federator.federation import schema
from federator.results import report

# Federations of a classification, which one epoch at one hospital tries out.
CLASSIFICATIONS = {"breast-cancer": "breast_cancer", "histopathology": "histopathology"}
# Those of other tasks, and what their notebooks print of the test sets after training on all data:
# each figure's pattern, and the range that it must be in.
OTHERS = {
    "recurrence": {r"concordance (.+)": (0.66, 0.72)},
    "birth-weight": {r"mean absolute error (.+) g, bias": (280, 380), r"R² (.+)": (0.35, 0.65)},
    "brain-tissue": {
        r"grey matter: mean Dice (\S+)": (0.75, 0.95),
        r"white matter: mean Dice (\S+)": (0.6, 0.95),
    },
}

# PyPI's torchvision does not import next to a CPU-only torch; where it does, this does nothing.
STARTUP = """\
try:
    import torchvision
except RuntimeError:
    from federator.runtime.worker.author_code import declare_torchvision_operators
    declare_torchvision_operators()
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Return a repository with the examples and their data laid out."""
    root = tmp_path_factory.mktemp("repository")
    for folder in ("notebooks", "compose"):
        shutil.copytree(ROOT / folder, root / folder)
    for name in (*CLASSIFICATIONS, *OTHERS):
        script = root / "notebooks" / f"{stem(name)}_sites.py"
        subprocess.run([sys.executable, script, root / "data" / name], check=True)
    for table in (root / "data" / "histopathology").glob("*/labels.csv"):
        head, *patches = table.read_text().splitlines(keepends=True)
        table.write_text(head + "".join(patches[::6]))  # enough to run everything
    return root


def stem(name):
    """Return the name of a federation's notebook."""
    return name.replace("-", "_")


def execute(repository, name, monkeypatch, changed=()):
    """Run an example's notebook with pairs of texts replaced, and return what it prints."""
    startup = repository / "startup.py"
    startup.write_text(STARTUP)
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    read = nbformat.read(repository / "notebooks" / f"{stem(name)}.ipynb", as_version=4)
    for cell in read.cells:
        for old, new in changed:
            cell.source = cell.source.replace(old, new)
    nbclient.execute(read, cwd=str(repository / "notebooks"), timeout=600, kernel_name="python3")
    outputs = [out for cell in read.cells for out in cell.get("outputs", [])]
    return "".join(out.get("text", "") for out in outputs)


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_a_notebook_runs_top_to_bottom_as_a_central_training(repository, name, monkeypatch):
    """On the data of one hospital, for one epoch: enough to run every cell."""
    smaller = [("/pooled", "/hospital-c"), ("epochs=2)", "epochs=1)")]
    assert "accuracy" in execute(repository, name, monkeypatch, smaller)


@pytest.mark.parametrize("name", OTHERS)
def test_a_central_training_on_all_data_gives_plausible_figures(repository, name, monkeypatch):
    printed = execute(repository, name, monkeypatch)
    for pattern, (low, high) in OTHERS[name].items():
        assert low < float(re.search(pattern, printed)[1]) < high, printed


def test_a_federation_of_the_images_trains_and_reports(repository):
    """That of breast-cancer is run with containers, which must give the same."""
    file = repository / "compose" / "histopathology" / schema.FILE
    text = re.sub("local_epochs: .", "local_epochs: 1", file.read_text())
    file.write_text(text + "\nparameters: {WIDTH: 0.0625}\n")
    read = schema.read(file)
    run = rehearse(read, 1, baselines=False)
    list(run.events())
    assert [e["state"] for e in events(run.folder, "end")] == ["finished"]
    tested = events(run.folder, "test")[-1]["sites"]
    assert set(tested) == {site.name for site in read.sites}
    assert all(sum(map(sum, site["counts"])) > 0 for site in tested.values())
    for site in read.sites:
        log = (run.folder / "logs" / f"{site.name}.worker.log").read_text()
        assert log.count("data loaded") == 1
    assert read.sites[0].name in report.write(run.folder).read_text()


@pytest.mark.parametrize("path", (ROOT / "notebooks").glob("*.ipynb"), ids=lambda p: p.stem)
def test_notebooks_are_committed_without_outputs(path):
    read = nbformat.read(path, as_version=4)
    for cell in read.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
