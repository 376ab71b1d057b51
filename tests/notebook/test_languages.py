import pytest
from fixtures import small_notebook
from nbformat.v4 import new_code_cell, new_notebook

from federator.notebook import contract, reader


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
