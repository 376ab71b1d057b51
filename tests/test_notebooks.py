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

from federator.errors import NotebookError
from federator.federation import schema
from federator.notebook import contract, reader
from federator.results import report

EXAMPLES = {"breast-cancer": "breast_cancer", "histopathology": "histopathology"}

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
    for name, stem in EXAMPLES.items():
        script = root / "notebooks" / f"{stem}_sites.py"
        subprocess.run([sys.executable, script, root / "data" / name], check=True)
    for table in (root / "data" / "histopathology").glob("*/labels.csv"):
        head, *patches = table.read_text().splitlines(keepends=True)
        table.write_text(head + "".join(patches[::6]))  # enough to run everything
    return root


@pytest.mark.parametrize("stem", EXAMPLES.values())
def test_a_notebook_runs_top_to_bottom_as_a_central_training(repository, stem, monkeypatch):
    """On the data of one hospital, for one epoch: enough to run every cell."""
    startup = repository / "startup.py"
    startup.write_text(STARTUP)
    monkeypatch.setenv("PYTHONSTARTUP", str(startup))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    read = nbformat.read(repository / "notebooks" / f"{stem}.ipynb", as_version=4)
    for cell in read.cells:
        cell.source = cell.source.replace("/pooled", "/hospital-c").replace(
            "epochs=2)", "epochs=1)"
        )
    nbclient.execute(read, cwd=str(repository / "notebooks"), timeout=300, kernel_name="python3")


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


def test_the_template_is_valid_and_says_what_is_to_be_filled_in():
    template = reader.read(ROOT / "notebooks" / "template.ipynb")
    for cell in template.cells:
        compile(cell.source, "template", "exec")
    with pytest.raises(NotebookError) as caught:
        contract.take_apart(template)
    assert all("template.ipynb: cell" in str(problem) for problem in caught.value.problems)


@pytest.mark.parametrize("path", (ROOT / "notebooks").glob("*.ipynb"), ids=lambda p: p.stem)
def test_notebooks_are_committed_without_outputs(path):
    read = nbformat.read(path, as_version=4)
    for cell in read.cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
