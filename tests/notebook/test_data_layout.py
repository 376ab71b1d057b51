"""The author's description of the data goes to the people at the sites, and runs nowhere."""

import nbformat
import pytest
from fixtures.command_line import call
from fixtures.small_notebook import cells, federate

from federator.errors import NotebookError
from federator.notebook import data_layout

TEXT = "- `train.csv`: one row a patient\r\n- costs $5  \n\x1b[31mred"
PLAIN = "- `train.csv`: one row a patient\n- costs $5\n\x1b[31mred\n"


def described(text=TEXT, kind="markdown", tags=("data",)):
    made = nbformat.v4.new_markdown_cell(text) if kind == "markdown" else None
    made = made or getattr(nbformat.v4, f"new_{kind}_cell")(text)
    made.metadata.tags = list(tags)
    return made


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_it_is_the_text_of_the_tagged_cells(kind):
    told = data_layout.read([described(kind=kind), {}, described("\n\nmore\n", kind)], "x.ipynb")
    assert told == data_layout.Layout(f"{PLAIN}\nmore\n", (1, 3))


@pytest.mark.parametrize(
    "cell", [described(tags=()), described(kind="code"), described(" \n"), {}, None, "x"]
)
def test_nothing_else_is(cell):
    assert data_layout.read([cell], "x.ipynb") is None


@pytest.mark.parametrize(
    "damaged", [{"source": 7}, {"source": [7]}, {"metadata": 7}, {"metadata": {"tags": "data"}}]
)
def test_a_damaged_cell_describes_nothing(damaged):
    assert data_layout.read([{**described(), **damaged}], "x.ipynb") is None


def test_it_is_bounded():
    data_layout.read([described("x" * 8191)], "x.ipynb")
    with pytest.raises(NotebookError, match=r"x\.ipynb: cell 2: the description .* 8193 bytes"):
        data_layout.read([{}, described("x" * 8192)], "x.ipynb")


def test_it_is_a_file_of_the_app_and_check_tells_so(tmp_path):
    content = [*cells(), described()]
    federation = federate(tmp_path, content=content)
    said = call("check", federation.notebook)
    assert f"data.md, for the people at the sites: the text of cell {len(content)}" in said.stdout
    assert call("convert", federation.folder).exit_code == 0
    app = tmp_path / "build" / "tumours" / "app"
    assert (app / "data.md").read_text() == PLAIN
    federate(tmp_path, content=cells())
    assert call("convert", federation.folder).exit_code == 0
    assert not (app / "data.md").exists()


def test_code_that_is_tagged_so_is_warned_of(tmp_path):
    federation = federate(tmp_path, content=[*cells(), described("y = 1", "code")])
    said = call("check", federation.notebook)
    assert said.exit_code == 0
    assert "the cell is code, so its tag `data` means nothing" in said.stderr
