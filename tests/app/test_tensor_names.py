"""The names of a model's tensors: what the text shows is what PyTorch says."""

import pytest
import torch
from torch import nn

from federator.app.tensor_names import TensorNames, tensor_names

PLAIN = """\
class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, bias=False)
        self.bn = nn.BatchNorm2d(width)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.width = 4
        self.stem, self.drop = torch.nn.Conv2d(3, self.width, 3), nn.Dropout(0.5)
        self.blocks = nn.Sequential(Block(4), nn.ReLU(), Block(4))
        self.scale = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm1d(4, affine=False)
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
"""


def test_the_names_are_those_of_the_state_dictionary():
    known = {"torch": torch, "nn": nn}
    exec(PLAIN, known)
    found = tensor_names([PLAIN])
    assert set(found.known) == set(known["Model"]().state_dict())
    assert found.unknown == ()


@pytest.mark.parametrize(
    ("changed", "unknown"),
    [
        (PLAIN.replace("nn.Parameter(torch.ones(1))", "resnet18()"), ("scale",)),
        (PLAIN.replace("nn.Flatten(), nn", "*parts, nn"), ("head",)),
        (PLAIN.replace("nn.Parameter(torch.ones(1))", "[nn.Linear(2, 2)]"), ("scale",)),
        (PLAIN.replace("class Model(nn.Module)", "class Model(Block)"), ("",)),
        ("Model = partial(resnet18, num_classes=2)", ("",)),
        (PLAIN + "        self.register_buffer('seen', None)\n", ("",)),
    ],
)
def test_what_the_text_does_not_show_is_named(changed, unknown):
    assert tensor_names([changed]).unknown == unknown


def test_a_model_without_tensors_shows_none():
    assert tensor_names(["x = 1"]) == TensorNames((), ("",))
