"""Folders that a notebook makes for what its functions write."""

import pytest
from fixtures.small_notebook import cells, write
from nbformat.v4 import new_code_cell

from federator.notebook import contract, reader

SAVES = """\
def train(net, trainloader, valloader, epochs):
    torch.save(net.state_dict(), os.path.join(ROOT, "best.pt"))"""


def taken(tmp_path, made, train=SAVES):
    imports = new_code_cell("import os\nfrom pathlib import Path")
    path = write(tmp_path / "a.ipynb", [imports, new_code_cell(made), *cells(train=train)])
    steps = contract.take_apart(reader.read(path)).task.statements
    return "\n".join(one.source for one in steps)


@pytest.mark.parametrize(
    "made",
    [
        'ROOT = "./checkpoints"\nos.makedirs(ROOT, exist_ok=True)',
        'ROOT = "out"\nif not os.path.exists(ROOT):\n    os.makedirs(ROOT)',
        'ROOT = Path("out")\nROOT.mkdir(exist_ok=True)',
        'ROOT = "out/models"\nos.makedirs("out/models")',
    ],
)
def test_a_folder_goes_in_with_the_path_that_names_it(tmp_path, made):
    assert made in taken(tmp_path, made)


@pytest.mark.parametrize(
    "made",
    [
        'ROOT = "out"\nos.makedirs("figures")',
        'ROOT = "out"\nFIGURES = "figures"\nos.makedirs(FIGURES)',
        'ROOT = "out"\nos.makedirs("/home/ada/out")',
    ],
)
def test_another_folder_stays_behind(tmp_path, made):
    assert "makedirs" not in taken(tmp_path, made)
