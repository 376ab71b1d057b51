"""The filled notebooks on real data: as central trainings, and as federations."""

import re
import shutil
import subprocess
import sys
from functools import cache

import nbclient
import nbformat
import pytest
from fixtures.paths import ROOT
from fixtures.rehearsals import events, rehearse

from federator.federation import schema
from federator.results import history, report

# Federations of a classification, which one epoch at one hospital tries out.
CLASSIFICATIONS = {"breast-cancer": "breast_cancer", "histopathology": "histopathology"}
# Those of other tasks: what their notebooks print of the test sets after training on all data (its
# pattern, and the range that it must be in), and the same figure of a federation: its name, of
# which class if of one, and how far it may be from the printed one.
OTHERS = {
    "recurrence": [
        (r"concordance (.+)", (0.66, 0.72), "concordance", None, 0.03),
    ],
    "birth-weight": [
        (r"mean absolute error (.+) g, bias", (280, 380), "mae", None, 30),
        (r"R² (.+)", (0.35, 0.65), "r2", None, 0.1),
    ],
    "brain-tissue": [
        (r"grey matter: mean Dice (\S+)", (0.8, 0.95), "dice", "grey-matter", 0.1),
        (r"white matter: mean Dice (\S+)", (0.7, 0.95), "dice", "white-matter", 0.1),
    ],
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


def execute(repository, name, changed=()):
    """Run an example's notebook with pairs of texts replaced, and return what it prints."""
    startup = repository / "startup.py"
    startup.write_text(STARTUP)
    read = nbformat.read(repository / "notebooks" / f"{stem(name)}.ipynb", as_version=4)
    for cell in read.cells:
        for old, new in changed:
            cell.source = cell.source.replace(old, new)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONSTARTUP", str(startup))
        environment.setenv("OMP_NUM_THREADS", "1")
        folder = str(repository / "notebooks")
        nbclient.execute(read, cwd=folder, timeout=600, kernel_name="python3")
    outputs = [out for cell in read.cells for out in cell.get("outputs", [])]
    return "".join(out.get("text", "") for out in outputs)


@pytest.fixture(scope="module")
def central(repository):
    """Return what the central training of an example prints; each is made once."""
    return cache(lambda name: execute(repository, name))


@pytest.mark.parametrize("name", CLASSIFICATIONS)
def test_a_notebook_runs_top_to_bottom_as_a_central_training(repository, name):
    """On the data of one hospital, for one epoch: enough to run every cell."""
    smaller = [("/pooled", "/hospital-c"), ("epochs=2)", "epochs=1)")]
    assert "accuracy" in execute(repository, name, smaller)


@pytest.mark.parametrize("name", OTHERS)
def test_a_central_training_on_all_data_gives_plausible_figures(central, name):
    for pattern, (low, high), *_ in OTHERS[name]:
        assert low < float(re.search(pattern, central(name))[1]) < high, central(name)


@pytest.mark.parametrize("name", OTHERS)
def test_a_federation_comes_close_to_the_central_training(repository, central, name):
    read = schema.read(repository / "compose" / name)
    run = rehearse(read, baselines=False)
    list(run.events())
    journal = history.read(run.folder)
    assert (journal.state, journal.start.task) == ("finished", read.task)
    tested = journal.tests["federation"]
    assert set(tested.sites) == {site.name for site in read.sites}
    tables = tested.pooled().tables
    for pattern, _, figure, part, margin in OTHERS[name]:
        found = journal.view.parts(tables)[part] if part else journal.view.figures(tables)
        expected = float(re.search(pattern, central(name))[1])
        assert found[figure].value == pytest.approx(expected, abs=margin)
    losses = [one.pooled().loss for one in journal.curve("federation")]
    assert losses[-1] < losses[0]
    assert read.sites[0].name in report.write(run.folder).read_text()


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
    assert all(sum(map(sum, site["tables"]["confusion"])) > 0 for site in tested.values())
    for site in read.sites:
        log = (run.folder / "logs" / f"{site.name}.worker.log").read_text()
        assert log.count("data loaded") == 1
    assert read.sites[0].name in report.write(run.folder).read_text()


def test_the_readme_lists_each_example_with_its_task():
    rows = re.findall(r"^\| `([a-z-]+)` \| (\w+) \|", (ROOT / "README.md").read_text(), re.M)
    files = (ROOT / "compose").glob(f"*/{schema.FILE}")
    assert dict(rows) == {file.parent.name: schema.read(file.parent).task for file in files}
    assert set(dict(rows)) == {*CLASSIFICATIONS, *OTHERS}


@pytest.mark.parametrize("path", (ROOT / "notebooks").glob("*.ipynb"), ids=lambda p: p.stem)
def test_notebooks_are_committed_without_outputs(path):
    read = nbformat.read(path, as_version=4)
    for cell in read.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
