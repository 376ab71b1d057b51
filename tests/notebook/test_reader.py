import json

import nbformat
import pytest
from fixtures import small_notebook
from fixtures.filled import of
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from federator.errors import NotebookError
from federator.notebook import contract, reader


def written(tmp_path, text):
    path = tmp_path / "tumour.ipynb"
    path.write_text(text, encoding="utf-8")
    return path


def raw(**changed):
    cell = {"cell_type": "code", "source": "x = 1", "metadata": {}, "outputs": []}
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]} | changed
    )


def test_code_cells_are_numbered_among_all_cells(tmp_path):
    path = tmp_path / "tumour.ipynb"
    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("x = 1", metadata={"tags": ["local", "mine"]}),
        new_raw_cell("raw"),
        new_code_cell("y = 2"),
    ]
    nbformat.write(new_notebook(cells=cells), path)
    read = reader.read(path)
    assert read.name == "tumour.ipynb"
    assert [(cell.number, cell.source) for cell in read.cells] == [(2, "x = 1"), (4, "y = 2")]
    assert [cell.tags for cell in read.cells] == [{"local", "mine"}, set()]


def test_a_notebook_in_memory_is_read_like_its_file(tmp_path):
    node = new_notebook(cells=[new_code_cell("%time x = 1\n!ls"), new_code_cell("y = 2")])
    path = tmp_path / "tumour.ipynb"
    nbformat.write(node, path)
    assert reader.from_node(node, "tumour.ipynb", tmp_path) == reader.read(path)


def test_running_a_notebook_changes_nothing_that_is_read():
    cell = new_code_cell("x = 1")
    before = reader.from_node(new_notebook(cells=[cell]), "n.ipynb")
    cell.execution_count = 7
    cell.outputs = [nbformat.v4.new_output("stream", text="secret")]
    assert reader.from_node(new_notebook(cells=[cell]), "n.ipynb") == before


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_ends_of_other_systems_count_as_one_line(tmp_path, ending):
    source = f"x = 1{ending}y = 2"
    path = written(tmp_path, raw(cells=[{"cell_type": "code", "source": source}]))
    assert reader.read(path).cells[0].source == "x = 1\ny = 2"


def test_a_line_that_is_left_out_is_told_with_its_place(tmp_path):
    source = ["%matplotlib inline\n", "!pip install monai\n", "x = !ls"]
    path = written(tmp_path, raw(cells=[{"cell_type": "code", "source": source}]))
    assert [str(warning) for warning in reader.read(path).warnings] == [
        "tumour.ipynb: cell 1, line 1: `%matplotlib inline` is not Python and is left out",
        "tumour.ipynb: cell 1, line 2: `!pip install monai` is not Python and is left out\n"
        "    What the images install follows from the imports, not from this line.",
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"kernelspec": {"name": "torch-env", "language": "python"}},
        {"kernelspec": {"name": "python3"}, "language_info": {"name": "ipython"}},
    ],
)
def test_python_is_recognised(tmp_path, metadata):
    assert reader.read(written(tmp_path, raw(metadata=metadata))).cells


def damaged(**cell):
    return raw(cells=[{"cell_type": "markdown", "source": "# A"}, {"cell_type": "code"} | cell])


# What the file holds → the only thing that is said about it.
MALFORMED = {
    "empty file": ("", "tumour.ipynb: the file is empty"),
    "blanks only": (" \n\n", "tumour.ipynb: the file is empty"),
    "python script": (
        "import torch\n",
        "tumour.ipynb: line 1: this is not a notebook: the file is not JSON",
    ),
    "cut off": (
        raw()[:-20],
        "tumour.ipynb: line 1: this is not a notebook: the file is not JSON",
    ),
    "merge conflict": (
        '{\n<<<<<<< HEAD\n"nbformat": 4\n=======\n>>>>>>> main\n}',
        "tumour.ipynb: line 2: this is not a notebook: the file is not JSON",
    ),
    "a number of more digits than Python reads": (
        '{"nbformat": 4, "cells": [], "n": ' + "9" * 5000 + "}",
        "tumour.ipynb: this is not a notebook: it holds a number too long",
    ),
    "nested without end": (
        "[" * 200_000,
        "tumour.ipynb: this is not a notebook: the JSON is nested too deeply",
    ),
    "a list": ("[1, 2]", "tumour.ipynb: this is JSON, but not a notebook"),
    "other JSON": ('{"name": "x"}', "tumour.ipynb: this is JSON, but not a notebook"),
    "format as text": (raw(nbformat="4"), "tumour.ipynb: this is JSON, but not a notebook"),
    "nbformat 3": (
        json.dumps({"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": []}),
        "tumour.ipynb: the notebook has format 3; only format 4 is read",
    ),
    "nbformat 5": (raw(nbformat=5), "tumour.ipynb: the notebook has format 5"),
    "R kernel": (
        raw(metadata={"kernelspec": {"name": "ir", "language": "R"}}),
        "tumour.ipynb: the notebook is written in R; only Python is converted",
    ),
    "Julia, told by the language only": (
        raw(metadata={"language_info": {"name": "julia"}}),
        "tumour.ipynb: the notebook is written in julia; only Python is converted",
    ),
    "metadata as a list": (raw(metadata=[1]), "tumour.ipynb: this is not a notebook: its metadata"),
    "no cells": (raw(cells=None), "tumour.ipynb: this is not a notebook: it has no list of cells"),
    "empty list of cells": (raw(cells=[]), "tumour.ipynb: the notebook has no code cells"),
    "Markdown only": (
        raw(cells=[{"cell_type": "markdown", "source": "# A"}]),
        "tumour.ipynb: the notebook has no code cells",
    ),
    "empty code cells only": (damaged(source="\n"), "tumour.ipynb: the notebook has no code cells"),
    "a cell that is text": (
        raw(cells=["x = 1"]),
        "tumour.ipynb: cell 1: the cell is damaged: it has no cell_type",
    ),
    "no source": (damaged(), "tumour.ipynb: cell 2: the cell is damaged: its source is not text"),
    "source of numbers": (
        damaged(source=[1, 2]),
        "tumour.ipynb: cell 2: the cell is damaged: its source is not text",
    ),
    "tags as text": (
        damaged(source="x = 1", metadata={"tags": "local"}),
        "tumour.ipynb: cell 2: the cell is damaged: its tags are not a list of names",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_notebook_is_refused_in_one_message(tmp_path, case):
    text, message = MALFORMED[case]
    with pytest.raises(NotebookError) as caught:
        reader.read(written(tmp_path, text))
    assert caught.value.exit_code == 2
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(message)


def test_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "tumour.ipynb"
    path.write_bytes(b"PK\x03\x04\xff\xfe")
    with pytest.raises(NotebookError, match=r"tumour.ipynb: this is not text in UTF-8"):
        reader.read(path)


def test_a_missing_notebook_and_a_folder_are_refused(tmp_path):
    with pytest.raises(NotebookError, match=r"there is no notebook .*/none.ipynb"):
        reader.read(tmp_path / "none.ipynb")
    with pytest.raises(NotebookError, match=r"this is a folder, not a notebook") as caught:
        reader.read(tmp_path)
    assert caught.value.problems[0].hint == "There is none in it."
    (tmp_path / "tumour.ipynb").touch()
    with pytest.raises(NotebookError) as caught:
        reader.read(tmp_path)
    assert caught.value.problems[0].hint == "Give the notebook in it: tumour.ipynb."


def lines_of(*source):
    cell = {"cell_type": "code", "metadata": {}, "source": list(source)}
    return reader.from_node({"nbformat": 4, "cells": [cell]}, "n.ipynb").cells[0].source


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (["import os", "x = 1", ""], "import os\nx = 1\n"),
        (["def f():", "    return 1"], "def f():\n    return 1"),
        (["%matplotlib inline", "x = 1", "y = 2"], "%matplotlib inline\nx = 1\ny = 2"),
        (["x = (\n", "1)"], "x = (\n1)"),
        (["x = ", "1"], "x = 1"),
        (["x = 1"], "x = 1"),
    ],
)
def test_lines_without_ends_are_lines_where_only_that_is_python(lines, text):
    expected = text.replace("%matplotlib inline", "")
    assert lines_of(*lines) == expected


@pytest.mark.parametrize(
    "metadata",
    [
        {"vscode": {"languageId": "sql"}},
        {"polyglot_notebook": {"kernelName": "csharp"}},
        {"dotnet_interactive": {"language": "fsharp"}},
        {"kernel": "R"},
        {"language": "julia"},
        {"deepnote_cell_type": "sql"},
    ],
)
def test_a_cell_of_another_language_is_not_read_as_python(metadata):
    cells = [*small_notebook.cells(), new_code_cell("train = 3", metadata=metadata)]
    made = contract.take_apart(reader.from_node(new_notebook(cells=cells), "n.ipynb"))
    [told] = [str(one) for one in made.warnings if one.where.cell == 10]
    assert "the cell is left out: this cell is written in" in told
    assert "not in Python" in told


@pytest.mark.parametrize(
    "metadata",
    [{"vscode": {"languageId": "python"}}, {"kernel": "Python3"}, {"deepnote_cell_type": "code"},
     {"vscode": {}}, {"vscode": 3}, {"language": ""}],
)  # fmt: skip
def test_a_cell_in_python_is(metadata):
    node = new_notebook(cells=[new_code_cell("x = 1", metadata=metadata)])
    assert reader.from_node(node, "n.ipynb").cells[0].language is None


def test_that_the_magics_of_this_library_stay_behind_is_no_news():
    read = of("%load_ext federator\n%federator check\n%matplotlib inline\nx = 1")
    assert [str(one) for one in read.warnings] == [
        "tumour.ipynb: cell 1, line 3: `%matplotlib inline` is not Python and is left out"
    ]
