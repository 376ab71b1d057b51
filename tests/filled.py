"""The small notebook as the library sees it, with single cells changed."""

import small_notebook
from nbformat.v4 import new_code_cell, new_notebook

from federator import contract, notebook
from federator.contract import Parts
from federator.errors import NotebookError
from federator.notebook import Notebook


def filled(tags: dict[str, list[str]] | None = None, **changed: str | None) -> Notebook:
    """Return the small notebook; see ``small_notebook.cells`` for what can be changed.

    Cells: 1 Markdown, 2 imports, 3 parameters, 4 load_data, 5 plot, 6 model, 7 train, 8 test,
    9 strategy; a name that is none of these is a further cell, 10 and on. ``tags`` are by number.
    """
    cells = small_notebook.cells(**changed)
    for number, added in (tags or {}).items():
        cells[int(number) - 1].metadata.tags = added
    return notebook.from_node(new_notebook(cells=cells), "tumour.ipynb")


def of(*sources: str) -> Notebook:
    """Return a notebook of these code cells alone."""
    cells = [new_code_cell(source) for source in sources]
    return notebook.from_node(new_notebook(cells=cells), "tumour.ipynb")


def parts(tags: dict[str, list[str]] | None = None, **changed: str | None) -> Parts:
    """Return the changed notebook, taken apart."""
    return contract.take_apart(filled(tags, **changed))


def problems(written: Notebook) -> list[str]:
    """Return what is said about a notebook that cannot be converted."""
    try:
        contract.take_apart(written)
    except NotebookError as error:
        assert error.exit_code == 2
        return [str(problem).removeprefix("tumour.ipynb: ") for problem in error.problems]
    return []


def warnings(tags: dict[str, list[str]] | None = None, **changed: str | None) -> list[str]:
    """Return the warnings about the changed notebook, without that on its plot cell's magic."""
    told = [str(warning) for warning in parts(tags, **changed).warnings]
    return [text.removeprefix("tumour.ipynb: ") for text in told if "matplotlib" not in text]
