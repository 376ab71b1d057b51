"""A new user's way for each task: from ``federator init`` to a trained federation.

The commands are those of the author's page, with ``--task`` in place of the labels.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.deployed import commands
from fixtures.rehearsals import events

from federator.results import history
from federator.runtime.worker.evaluation import READERS

SECTIONS = "234"  # make the repository, check the notebook, run the federation


def walk(folder: Path, task: str) -> str:
    """Run the page's commands in a folder; return what they print."""
    written = [line for section in SECTIONS for line in commands("author.md")[section]]
    text = "\n".join(line for line in written if not line.startswith("pre-commit"))
    assert "--labels benign,malignant" in text
    text = text.replace("--labels benign,malignant", f"--task {task}")
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f"set -e\n{text}"],
        cwd=folder,
        env=os.environ | {"PATH": programs, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("task", READERS)
def test_the_page_leads_from_nothing_to_figures_of_each_task(tmp_path, task):
    walk(tmp_path, task)
    (run,) = (tmp_path / "hospitals" / "results" / "tumours").iterdir()
    assert (run / "model.safetensors").exists()
    journal = history.read(run)
    assert (journal.start.task, journal.state) == (task, "finished")
    losses = [one.pooled().loss for one in journal.curve("federation")]
    assert losses[-1] < losses[0]
    pooled = journal.tests["federation"].pooled()
    assert set(events(run, "test")[-1]["sites"]) == {"north", "south"}
    figures = journal.view.figures(pooled.tables)
    assert all(figures[name].value is not None for name in journal.view.headline)
    assert pooled.metrics.keys() == ({"iou"} if task == "other" else set())
    assert (run / "report.html").read_text()
