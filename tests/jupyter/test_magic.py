"""The magic in a real kernel: what a notebook shows when its cells are run."""

import re
import shlex
import subprocess
import time
from pathlib import Path

import nbclient
import nbformat
import pytest
from fixtures.paths import ROOT
from fixtures.rehearsals import PLAIN_TRAIN, events, lay_out, lay_out_site
from fixtures.small_notebook import cells, write
from jupyter_client.manager import start_new_kernel
from markupsafe import escape
from nbformat.v4 import new_code_cell, new_notebook

MAGIC = "%load_ext federator"


def documented() -> list[str]:
    """Return the magics of the author's page, in order."""
    page = (ROOT / "docs" / "author.md").read_text()
    blocks = re.findall(r"^```ipython\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def execute(folder: Path, *sources: str) -> list:
    """Run cells in a kernel, and return them with their outputs."""
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
    nbclient.execute(notebook, cwd=str(folder), timeout=600, kernel_name="python3",
                     allow_errors=True)  # fmt: skip
    return notebook.cells


def said(cell, kind: str = "text/plain") -> str:
    """Return what a cell shows: texts, and of displays the kind asked for."""
    found = [out.get("text") or out.get("data", {}).get(kind, "") for out in cell.outputs]
    return "\n".join(found)


def failed(cell) -> list[str]:
    """Return the lines that a cell shows of an error; none if it has none."""
    return [line for out in cell.outputs for line in out.get("traceback", [])]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A repository without a commit, with a remote, a federation of two sites, and their data."""
    top = tmp_path_factory.mktemp("top")
    root = top / "repository"
    sites = {name: lay_out_site(root / "data" / name, seed) for seed, name in enumerate("ab")}
    lay_out(root, sites, "labels: [benign, malignant]\n", strategy=None)
    for command in (
        f"init --quiet --bare {top}/hub.git",
        f"-C {root} init --quiet --initial-branch=main",
        f"-C {root} config user.name Ada",
        f"-C {root} config user.email ada@example.org",
        f"-C {root} remote add origin {top}/hub.git",
        f"-C {root} config branch.main.remote origin",
        f"-C {root} config branch.main.merge refs/heads/main",
    ):
        subprocess.run(["git", *command.split()], check=True)
    return root


CHECK, RUN, DIFF, PUSH = documented()[1:]
WRONG = {
    "%federator rum": "invalid choice: 'rum'",
    "%federator check --rounds 3": "unrecognized arguments: --rounds",
    "%federator check compose/tumour": "there is no federation compose/tumour",
    "%federator run --rounds 0": "must be a whole number from 1 to 10,000, not 0",
    PUSH: "this front end cannot ask",
}


@pytest.fixture(scope="module")
def shown(root) -> dict:
    """What the magics of the author's page show, and some that are mistaken."""
    lines = [CHECK, RUN, DIFF, *WRONG, f"{PUSH} --yes", "%federator"]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JPY_SESSION_NAME", str(root / "notebooks" / "tumour.ipynb"))
        _, *run = execute(root / "notebooks", documented()[0], *lines)
    return dict(zip(lines, run, strict=True))


def test_check_shows_what_leaves_and_why_with_links_to_the_cells(shown, root):
    cell = shown[CHECK]
    page = said(cell, "text/html")
    ids = [one.id for one in nbformat.read(root / "notebooks" / "tumour.ipynb", 4).cells]
    assert f'<a href="tumour.ipynb#cell-id={ids[1]}">cell 2</a>' in page
    assert "<code>load_data</code>: it is a part" in page
    assert "<code>WIDTH</code> (a parameter): needed by Model" in page
    assert "<code>plt</code>: not needed" in page
    assert "federation tumours, which names this notebook" in said(cell)
    assert re.search(r"tumour.ipynb as saved at \d\d:\d\d:\d\d", said(cell))
    assert failed(cell) == []


def test_a_run_shows_its_curves_the_sites_and_the_report_in_the_cell(shown, root):
    cell = shown[RUN]
    assert failed(cell) == []
    (display,) = [out for out in cell.outputs if out.output_type == "display_data"]
    page = display.data["text/html"]
    assert "finished, round 2 of 2" in page and 'role="status"' in page
    for site in ("a", "b"):
        assert re.search(rf'<th scope="row">{site}</th><td>joined</td>\s*<td>64, 64, 64</td>', page)
    assert page.count('<svg viewBox="0 0 360') == 3  # loss, and the two headlines of two labels
    assert "The curves as numbers" in page and "round 1: 0." in page
    (folder,) = (root / "results" / "tumours").glob("*-001")
    assert events(folder, "end")[0]["state"] == "finished"
    assert re.search(r'<iframe title="[^"]+" sandbox="" src="data:text/html;base64,\w', page)
    assert f'href="../results/tumours/{folder.name}/report.html"' in page
    assert "<script" not in page


def test_before_the_sites_have_files_all_would_be_new(shown):
    assert "a, b: no file yet, so all of it would be new" in said(shown[DIFF])


def test_the_commands_are_listed(shown):
    text = said(shown["%federator"])
    assert all(name in text for name in ("check", "run", "diff", "push"))


@pytest.mark.parametrize("line", WRONG)
def test_a_mistake_is_told_without_a_traceback_and_stops_the_notebook(shown, line):
    cell = shown[line]
    assert WRONG[line] in said(cell) and str(escape(WRONG[line])) in said(cell, "text/html")
    assert failed(cell) == ["1 problem: see above"]


def test_mistakes_in_the_notebook_are_linked(tmp_path):
    content = cells(train="def train(net):\n    return 1", test=None)
    content[1].execution_count = 4
    path = write(tmp_path / "tumour.ipynb", content)
    _, cell = execute(tmp_path, MAGIC, f"%federator check {path.name}")
    assert failed(cell) == ["2 problems: see above"]
    key = nbformat.read(path, 4).cells[6].id
    assert f'<a href="tumour.ipynb#cell-id={key}">cell 7</a>, line 1: `train`' in said(
        cell, "text/html"
    )


def test_an_interrupt_ends_the_run_and_its_processes(tmp_path):
    sites = {"a": lay_out_site(tmp_path / "data" / "a", 1)}
    lay_out(tmp_path, sites, "rounds: 500\n", train=PLAIN_TRAIN)
    manager, client = start_new_kernel(kernel_name="python3", cwd=str(tmp_path / "notebooks"))
    try:
        client.execute(MAGIC, reply=True, timeout=120)
        number = client.execute("%federator run")
        page = ""
        while "running, round 1 of" not in page and "running, round 2 of" not in page:
            message = client.get_iopub_msg(timeout=300)
            page = message["content"].get("data", {}).get("text/plain", "")
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=300)
        assert reply["parent_header"]["msg_id"] == number
        assert reply["content"]["ename"] == "Told"
        assert "%federator run --resume" in reply["content"]["evalue"]
        (folder,) = (tmp_path / "results" / "tumours").glob("*-001")
        assert events(folder, "end")[-1]["state"] == "stopped"
        assert (folder / "report.html").exists()
        assert still_running(tmp_path / "results") == []
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def still_running(folder: Path) -> list[str]:
    """Return the processes that have a folder in their command line, after a moment."""
    time.sleep(1)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(folder) in command:
            found.append(command)
    return found


def test_push_commits_and_pushes_the_notebook_and_its_federation_file(shown, root):
    cell = shown[f"{PUSH} --yes"]
    assert failed(cell) == [] and "pushed to origin" in said(cell)
    log = ["git", "-C", f"{root.parent}/hub.git", "log", "--name-only", "--format=%s", "main"]
    pushed = subprocess.run(log, capture_output=True, text=True, check=True).stdout.split("\n")
    subject, _, *files = filter(None, [pushed[0], "-", *pushed[1:]])
    assert subject == shlex.split(PUSH)[-1]
    assert files == ["compose/tumours/federation.yaml", "notebooks/tumour.ipynb"]
