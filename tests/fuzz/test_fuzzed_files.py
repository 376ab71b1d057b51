"""Random changes to what a person writes: each is read, or refused in words."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from fixtures.small_notebook import cells, write
from hypothesis import given
from mutations import FUZZED, mutated, quick

from federator.errors import FederatorError
from federator.federation import schema
from federator.notebook import reader

FILE = b"""\
notebook: ../../notebooks/tumour.ipynb
rounds: 3
sites:
  - name: north
    data: data/north
    min_cell_count: 5
  - name: south
labels: [benign, malignant]
deadlines: {join: 5m, round: 1h}
parameters: {rate: 0.1}
"""


@pytest.fixture(scope="module")
def root():
    folder = Path(tempfile.mkdtemp())
    (folder / "compose" / "demo").mkdir(parents=True)
    (folder / "notebooks").mkdir()
    write(folder / "notebooks" / "tumour.ipynb", cells())
    yield folder
    shutil.rmtree(folder)


def test_federation_files(root):
    @FUZZED
    @given(mutated(FILE))
    def changed(text):
        (root / "compose" / "demo" / schema.FILE).write_bytes(text)
        try:
            with quick():
                schema.read(root / "compose" / "demo")
        except FederatorError as error:
            assert str(error)

    changed()


def test_notebooks(root):
    original = (root / "notebooks" / "tumour.ipynb").read_bytes()
    assert json.loads(original)

    @FUZZED
    @given(mutated(original))
    def changed(text):
        path = root / "changed.ipynb"
        path.write_bytes(text)
        try:
            with quick():
                reader.read(path)
        except FederatorError as error:
            assert str(error)

    changed()
