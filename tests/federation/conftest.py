"""The folder of a federation, with a notebook."""

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "compose" / "demo"
    folder.mkdir(parents=True)
    (folder / "notebook.ipynb").touch()
    return folder
