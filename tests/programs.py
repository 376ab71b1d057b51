"""Notebooks for the tests of slicing, as texts of cells."""

from nbformat.v4 import new_code_cell, new_notebook

from federator import notebook
from federator.slicing import Program


def program(*cells):
    """Return the program of cells given as text, or as (text, tag)."""
    pairs = [cell if isinstance(cell, tuple) else (cell,) for cell in cells]
    nodes = [new_code_cell(source, metadata={"tags": tags}) for source, *tags in pairs]
    return Program(notebook.from_node(new_notebook(cells=nodes), "n.ipynb"))
