"""In which language a cell of a notebook is, where the editor that wrote it says so."""

from collections.abc import Mapping

# Where editors and kernels for several languages write a cell's own: VS Code, Polyglot Notebooks
# (as it was and is called), SoS, Deepnote, and those that write it plainly.
_MARKS = (
    ("vscode", "languageId"),
    ("polyglot_notebook", "kernelName"),
    ("dotnet_interactive", "language"),
    ("kernel",),
    ("language",),
    ("deepnote_cell_type",),
)
_PYTHON = ("python", "ipython", "sos", "code", "pylab", "visualization", "xpython")


def other_than_python(cell: Mapping[str, object]) -> str | None:
    """Return the language that a cell says it is in, None for Python or where it says nothing."""
    metadata = cell.get("metadata")
    for mark in _MARKS:
        found: object = metadata
        for key in mark:
            found = found.get(key) if isinstance(found, Mapping) else None
        if isinstance(found, str) and found and not found.lower().startswith(_PYTHON):
            return found
    return None
