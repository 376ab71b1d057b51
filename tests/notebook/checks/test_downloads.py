"""What fetches from the Internet, as `check` tells it."""

import ast

import pytest
from fixtures.small_notebook import MODEL, cells, write

from federator.notebook.contract import take_apart
from federator.notebook.reader import read

HEAD = "class Model(nn.Module):\n    def __init__(self{more}):\n        super().__init__()\n"


def told(tmp_path, **changed):
    imports = (
        "import numpy as np\nimport nltk, torch, torchvision, transformers\nfrom torch import nn"
    )
    imports += "\nfrom torch.utils.data import DataLoader, TensorDataset\nimport functools"
    parts = take_apart(read(write(tmp_path / "a.ipynb", cells(**{"imports": imports, **changed}))))
    return [str(one) for one in parts.warnings if "fetches" in one.message]


def model(line, more=""):
    return HEAD.format(more=more) + f"        self.layers = {line}"


@pytest.mark.parametrize(
    "line",
    [
        'torchvision.models.resnet18(weights="DEFAULT")',
        "torchvision.models.resnet18(weights=torchvision.models.ResNet18_Weights.IMAGENET1K_V1)",
        "torchvision.models.resnet18(pretrained=True)",
        'torch.hub.load_state_dict_from_url("https://example.org/a.pth")',
        'transformers.AutoModel.from_pretrained("./bert")',
        "nn.Linear(3, 2, bias=True)",
    ],
)
def test_weights_that_model_fetches_are_no_matter(tmp_path, line):
    assert told(tmp_path, model=model(line)) == []


@pytest.mark.parametrize(
    "line",
    ['transformers.AutoModel.from_pretrained("bert-base")', 'torch.hub.load("a/b", "net")'],
)
def test_what_model_fetches_otherwise_needs_a_word(tmp_path, line):
    (said,) = told(tmp_path, model=model(line))
    assert said.startswith(
        f"a.ipynb: cell 6, line 4: `{ast.unparse(ast.parse(line))}` fetches from the Internet"
    )
    assert "let Model take `pretrained`" in said
    assert told(tmp_path, model=model(line, ", pretrained=True")) == []


def test_what_runs_as_soon_as_the_code_is_loaded_is_told(tmp_path):
    made = 'BACKBONE = torchvision.models.resnet18(weights="DEFAULT")\n' + model("BACKBONE")
    (said,) = told(tmp_path, model=made)
    assert "move it into Model" in said
    later = 'Model = functools.partial(torchvision.models.resnet18, weights="DEFAULT")'
    assert told(tmp_path, model=later) == []


def test_what_patients_of_needs_too_cannot_move_into_model(tmp_path):
    made = 'BACKBONE = torchvision.models.resnet18(weights="DEFAULT")\n' + model("BACKBONE")
    unit = "def patients_of(dataset):\n    return [str(BACKBONE) for _ in dataset]"
    (said,) = told(tmp_path, model=made, plot=unit)
    assert "put the file beside the notebook" in said


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("load_data", 'nltk.download("punkt")'),
        ("load_data", 'transformers.AutoTokenizer.from_pretrained("bert-base")'),
        ("load_data", 'torchvision.datasets.CIFAR10("data", download=True)'),
        ("train", 'torchvision.models.resnet18(weights="DEFAULT")'),
    ],
)
def test_what_other_parts_fetch_is_told_with_what_to_do(tmp_path, part, line):
    (source,) = (cell.source for cell in cells() if cell.source.startswith(f"def {part}("))
    head, _, body = source.partition("\n")
    (said,) = told(tmp_path, **{part: f"{head}\n    {line}\n{body}"})
    assert f"line 2: `{ast.unparse(ast.parse(line))}` fetches" in said
    assert "put the file beside the notebook" in said


def test_what_stays_behind_may_fetch(tmp_path):
    assert told(tmp_path, plot='nltk.download("punkt")', model=MODEL) == []
