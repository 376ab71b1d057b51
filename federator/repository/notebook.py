"""The notebook of a new repository, from the template of its task, and the data to try it with."""

import json
import re

from federator.common.templates import Templates
from federator.repository.answers import Answers

_MARK = re.compile(r"^%% (code|markdown) (\S+)(?: (\S+))?\n", re.MULTILINE)
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(answers: Answers) -> bytes:
    """Return the notebook: it runs as it stands, on the data that :func:`sites_script` makes up.

    Its template is a text of cells, each after a line ``%% code NAME TAG`` or ``%% markdown NAME``;
    one template for each task fills the blocks of the one that all have in common.
    """
    text = Templates().fill(f"notebook/{answers.task}", **_values(answers))
    _, *parts = _MARK.split(text)
    cells = []
    for kind, name, tag, source in zip(*(parts[place::4] for place in range(4)), strict=True):
        lines = source.strip().splitlines(keepends=True)
        cell = {"cell_type": kind, "id": name, "metadata": {"tags": [tag]} if tag else {}}
        run: dict[str, object] = {"execution_count": None, "outputs": []} if kind == "code" else {}
        cells.append(cell | run | {"source": lines})
    made = {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}
    return f"{json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False)}\n".encode()


def sites_script(answers: Answers) -> bytes:
    """Return the program that makes up the data of sites."""
    return Templates().fill("notebook/sites.py", **_values(answers)).encode()


def _values(answers: Answers) -> dict[str, object]:
    folders = [f"data/{answers.federation}/{site}" for site in answers.sites]
    return {
        "task": answers.task,
        "federation": answers.federation,
        "names": answers.names,
        "folder": folders[0],
        "folders": " ".join(folders),
    }
