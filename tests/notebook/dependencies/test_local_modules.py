"""Modules beside a notebook, and what they import in turn."""

import ast
from pathlib import Path

import pytest

from federator.errors import Where
from federator.notebook.dependencies import local_modules
from federator.notebook.dependencies.distributions import Installed
from federator.notebook.dependencies.local_modules import Modules
from federator.notebook.dependencies.notebook_folder import NotebookFolder
from federator.notebook.reader import Notebook
from federator.notebook.slicing import imports


def find(folder: Path, source: str) -> Modules:
    where = Where("tumour.ipynb", 2, 1)
    found = imports.found(ast.parse(source).body, lambda _: where)
    here = NotebookFolder.of(Notebook("tumour.ipynb", (), folder=folder))
    return local_modules.find(found, here, Installed())


def paths(folder: Path, source: str) -> list[str]:
    made = find(folder, source)
    assert made.problems == []
    return sorted(made.files)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


PACKAGE = {
    "helpers.py": "import numpy as np\nfrom nets import blocks\n",
    "nets/__init__.py": "from .blocks import make\n",
    "nets/blocks.py": "from torch import nn\nfrom . import util\nfrom .deep.er import x\n",
    "nets/util.py": "import nets.late\n",
    "nets/late.py": "",
    "nets/deep/__init__.py": "",
    "nets/deep/er.py": "from ..other import y\n",
    "nets/other.py": "y = 1\n",
    "nets/unused.py": "import pandas\n",
    "plots.py": "import seaborn\n",
}


def test_modules_are_followed_through_what_they_import(tmp_path: Path) -> None:
    write(tmp_path, PACKAGE)
    made = find(tmp_path, "from helpers import accuracy\nimport torch")
    assert made.problems == []
    assert sorted(made.files) == [
        "helpers.py",
        "nets/__init__.py",
        "nets/blocks.py",
        "nets/deep/__init__.py",
        "nets/deep/er.py",
        "nets/late.py",
        "nets/other.py",
        "nets/util.py",
    ]
    assert {one.module: str(one.where) for one in made.elsewhere} == {
        "torch": "nets/blocks.py: line 1",
        "numpy": "helpers.py: line 1",
    }


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import nets.blocks", ["nets/__init__.py", "nets/blocks.py"]),
        ("from nets import blocks, VERSION", ["nets/__init__.py", "nets/blocks.py"]),
        ("from nets.blocks import make", ["nets/__init__.py", "nets/blocks.py"]),
        ("def f():\n    import nets", ["nets/__init__.py"]),
        ("from src.models import Net", ["src/models.py"]),
        ("from src import models", ["src/models.py"]),
        ("import src.deep.models", ["src/deep/models.py"]),
        ("try:\n    import single\nexcept ImportError:\n    pass", ["single.py"]),
        ("if TYPE_CHECKING:\n    import single", []),
        ("import data", []),
        ("import torch", []),
        ("import code", []),
    ],
)
def test_they_are_found_as_python_finds_them(
    tmp_path: Path, source: str, expected: list[str]
) -> None:
    files = ["nets/__init__.py", "nets/blocks.py", "nets.py", "src/models.py", "single.py"]
    files += ["src/deep/models.py", "data/train.csv", "torch/readme.py", "code/x.py"]
    write(tmp_path, dict.fromkeys(files, ""))
    assert paths(tmp_path, source) == expected


def test_what_an_optional_module_imports_is_optional(tmp_path: Path) -> None:
    write(tmp_path, {"extra.py": "import wandb\n", "sure.py": "import numpy\n"})
    made = find(
        tmp_path, "try:\n    import extra, sure\nexcept ImportError:\n    pass\nimport sure"
    )
    assert {one.module: one.need for one in made.elsewhere} == {
        "wandb": "optional",
        "numpy": "always",
    }


@pytest.mark.parametrize(
    ("files", "source", "message"),
    [
        ({"task.py": ""}, "import task", "task.py beside the notebook has the name of a part of"),
        ({"federator.py": ""}, "import federator", "the name of a part of the app"),
        ({"random.py": ""}, "import random", "the name of a module of Python's"),
        ({"numpy.py": ""}, "import numpy", "the name of a package that a site needs"),
        ({"pydantic/__init__.py": ""}, "import pydantic", "that a site needs"),
        ({"a.py": "def f(:\n"}, "import a", "a.py: line 1: this is not valid Python"),
        ({"a.py": "x = 1\nimport b\n", "b.py": "\n\nif\n"}, "import a", "b.py: line 3: this is"),
        ({"a.py": "from . import b\n"}, "import a", "leads out of the package that a.py is in"),
        ({"a.py": "#" * 300_000}, "import a", "a.py has more than 262,144 bytes"),
        ({"a.py": "\0"}, "import a", "a.py is not text"),
    ],
)
def test_what_cannot_travel_is_told(
    tmp_path: Path, files: dict[str, str], source: str, message: str
) -> None:
    write(tmp_path, files)
    (problem,) = find(tmp_path, source).problems
    assert message in str(problem)
    assert problem.where is not None
