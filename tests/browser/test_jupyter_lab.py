"""The magics in a real JupyterLab, in a headless Chromium: check, run and report of an example."""

import importlib.util
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from fixtures import jupyter_lab
from fixtures.paths import ROOT
from nbformat.v4 import new_code_cell
from PIL import Image

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        jupyter_lab.CHROMIUM is None, reason="no chromium: apt-get install chromium"
    ),
    pytest.mark.skipif(
        importlib.util.find_spec("jupyterlab") is None,
        reason="no JupyterLab: make lint installs it",
    ),
]
MAGICS = ["%load_ext federator", "%federator check", "%federator run --rounds 2 --no-baselines"]
CELLS = "document.querySelectorAll('.jp-Notebook .jp-CodeCell')"
IDLE = "document.body.innerText.includes('Python 3 (ipykernel) | Idle')"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The example of the breast cancer, with three magics at the notebook's beginning."""
    root = tmp_path_factory.mktemp("repository")
    for folder in ("notebooks", "compose"):
        shutil.copytree(ROOT / folder, root / folder)
    script, data = root / "notebooks" / "breast_cancer_sites.py", root / "data" / "breast-cancer"
    subprocess.run([sys.executable, script, data], check=True)
    path = root / "notebooks" / "breast_cancer.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[:0] = [new_code_cell(source) for source in MAGICS]
    nbformat.write(notebook, path)
    return root


@pytest.fixture(scope="module")
def page(root, tmp_path_factory):
    """The notebook as JupyterLab shows it."""
    scratch = tmp_path_factory.mktemp("lab")
    with jupyter_lab.lab(root, scratch, free_port()) as address:
        notebook = f"{address}/lab/tree/notebooks/breast_cancer.ipynb?reset"
        with jupyter_lab.browser(notebook, scratch, free_port()) as page:
            page.wait(f"{CELLS}.length > 3")
            page.wait(IDLE)
            yield page


def run_cell(page, number: int) -> None:
    """Put the cursor into a cell, and press Shift and Enter, until the cell is run."""
    cell = f"{CELLS}[{number}]"
    before = page.evaluate(f"{cell}.querySelector('.jp-InputPrompt').innerText")
    prompt = f"{cell}.querySelector('.jp-InputPrompt').innerText != {before!r}"
    while True:  # JupyterLab ignores the keys while it still connects to the kernel
        page.evaluate(f"{cell}.querySelector('.cm-content').focus()")
        page.key("Enter", 13, modifiers=8)
        for _ in range(20):
            if page.evaluate(prompt):
                return
            time.sleep(0.5)


@pytest.fixture(scope="module")
def checked(page):
    run_cell(page, 0)
    page.wait(f"{CELLS}[0].innerText.includes('[1]')")
    run_cell(page, 1)
    page.wait(f"{CELLS}[1].querySelector('.federator table')", 300)
    return page


def test_check_lists_the_cells_and_a_link_leads_to_one(checked):
    text = str(checked.evaluate(f"{CELLS}[1].innerText"))
    assert "Federation breast-cancer, which names this notebook: all is well." in text
    assert "load_data: it is a part" in text and "it is tagged `local`" in text
    link = f"[...{CELLS}[1].querySelectorAll('.federator tbody th a')].at(-1)"
    name = str(checked.evaluate(f"{link}.innerText"))
    checked.evaluate(f"{link}.focus()")
    checked.key("Enter", 13, text="\r")
    active = "document.querySelector('.jp-Notebook .jp-Cell.jp-mod-active')"
    words = checked.wait(f"{active}?.innerText.includes('loss, accuracy') && {active}.innerText")
    assert name == "cell 27" and "loss, accuracy = test(net, testloader)" in str(words)


def test_a_cell_that_was_run_and_not_saved_is_checked_as_it_was_run(checked):
    """The front end sends its cell's id along, and the cell is found by it."""
    editor = "c.querySelector('.cm-content').innerText"
    cell = f"[...{CELLS}].find(c => {editor}.startsWith('LEARNING_RATE'))"
    checked.evaluate(f"{cell}.scrollIntoView()")
    checked.evaluate(f"{cell}.querySelector('.cm-content').focus()")
    checked.key("End", 35, modifiers=2)
    checked.type("\nMOMENTUM = 0.5")
    checked.key("Enter", 13, modifiers=8)
    prompt = f"{cell}.querySelector('.jp-InputPrompt').innerText"
    number = checked.wait(f"{prompt}.match(/[0-9]+/)?.[0]")
    checked.evaluate(f"{CELLS}[1].scrollIntoView()")
    run_cell(checked, 1)
    # What is out of sight has no text: so it is looked at once.
    shown = f"{CELLS}[1].innerText"
    text = str(checked.wait(f"{shown}.includes('as run since then') && {shown}"))
    assert "MOMENTUM: not needed" in text and f"cell 9 [{number}]" in text


def test_a_run_shows_curves_and_then_the_report_in_a_sandbox(checked, tmp_path):
    checked.evaluate(f"{CELLS}[2].scrollIntoView()")
    run_cell(checked, 2)
    output = f"{CELLS}[2].querySelector('.federator')"
    checked.wait(f"{output}?.querySelector('figure svg')", 600)
    checked.wait(f"{output}?.querySelector('iframe')", 600)
    text = str(checked.evaluate(f"{output}.innerText"))
    assert "finished, round 2 of 2" in text and "hospital-c" in text
    assert checked.evaluate(f"{output}.querySelector('iframe').getAttribute('sandbox')") == ""
    assert checked.evaluate(f"{output}.querySelectorAll('figure svg[role=img][aria-label]').length")
    checked.evaluate(f"{output}.querySelector('iframe').scrollIntoView()")
    time.sleep(2)  # until the frame is painted
    with Image.open(checked.shot(tmp_path / "report.png")) as image:
        assert len(image.convert("RGB").getcolors(1 << 24)) > 100  # it is painted
