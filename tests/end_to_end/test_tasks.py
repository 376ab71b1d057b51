"""A new user's way for each task: from ``federator init`` to a trained federation.

The commands are those of the author's page, with ``--task`` in place of the labels.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from fixtures.deployed import commands
from fixtures.rehearsals import events
from lifelines.utils import concordance_index
from safetensors.torch import load_file
from sklearn import metrics as reference

from federator.results import history
from federator.results.findings import selection
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


def predicted(repository: Path, run: Path, site: str) -> tuple[np.ndarray, ...]:
    """Return what the notebook's predict returns of a site's test set, with the final model."""
    cells = nbformat.read(repository / "notebooks" / "tumours.ipynb", as_version=4).cells
    code = [one for one in cells if one.cell_type == "code"]
    module: dict[str, Any] = {}
    exec("\n".join(one.source for one in code if "local" not in str(one.metadata)), module)
    net = module["Model"]()
    net.load_state_dict(load_file(run / "model.safetensors"))
    testloader = module["load_data"](str(repository / "data" / "tumours" / site))[2]
    return tuple(np.asarray(one, dtype=float) for one in module["predict"](net, testloader))


def expected_of_a_regression(repository: Path, run: Path) -> dict[str, float]:
    """Return the figures of the pooled test sets by scikit-learn."""
    sets = [predicted(repository, run, site) for site in ("north", "south")]
    truth, guess = (np.concatenate([one[k] for one in sets]) for k in (0, 1))
    return {
        "mae": reference.mean_absolute_error(truth, guess),
        "rmse": reference.root_mean_squared_error(truth, guess),
        "r2": reference.r2_score(truth, guess),
        "bias": (guess - truth).mean(),
    }


def expected_of_a_survival_analysis(repository: Path, run: Path) -> dict[str, float]:
    """Return the concordance within sites by lifelines, up to the horizon of 60 months."""
    right = total = 0.0
    for site in ("north", "south"):
        times, events, risks = predicted(repository, run, site)
        ends, happened = np.minimum(times, 60), (events == 1) & (times <= 60)
        ahead = (ends[:, None] < ends) | ((ends[:, None] == ends) & ~happened)
        pairs = (ahead & happened[:, None]).sum()
        right, total = right + concordance_index(ends, -risks, happened) * pairs, total + pairs
    return {"concordance": right / total}


EXPECTED = {
    "regression": expected_of_a_regression,
    "survival": expected_of_a_survival_analysis,
}


@pytest.mark.parametrize("task", READERS)
def test_the_page_leads_from_nothing_to_figures_of_each_task(tmp_path, task):
    walk(tmp_path, task)
    (run,) = (tmp_path / "hospitals" / "results" / "tumours").iterdir()
    assert (run / "model.safetensors").exists()
    journal = history.read(run)
    assert (journal.start.task, journal.state) == (task, "finished")
    compared = selection(journal)
    assert compared.by == ("error" if task in ("classification", "multilabel") else "loss")
    assert compared.figures[max(compared.figures)] < compared.figures[0]
    pooled = journal.tests["federation"].pooled()
    assert set(events(run, "test")[-1]["sites"]) == {"north", "south"}
    figures = journal.view.figures(pooled.tables)
    assert all(figures[name].value is not None for name in journal.view.headline)
    assert pooled.metrics.keys() == ({"iou"} if task == "other" else set())
    assert (run / "report.html").read_text()
    expected = EXPECTED[task](tmp_path / "hospitals", run) if task in EXPECTED else {}
    for name, value in expected.items():  # the sites' sums have six digits
        assert figures[name].value == pytest.approx(value, rel=2e-5), name
