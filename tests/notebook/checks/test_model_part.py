import pytest
import torch
from fixtures.filled import filled, parts, problems, warnings

from federator.app.render import render_app

NET = "class Net(nn.Module):\n    def __init__(self, width=4):\n        super().__init__()\n"
NET += "        self.layer = nn.Linear(width, 2)\n"
BUILT = "`Model` is a model that has been built, not what builds one"


@pytest.mark.parametrize(
    "model",
    [
        "def Model():\n    return nn.Linear(4, 2)",
        "def Model(width=4):\n    net = nn.Linear(width, 2)\n    return net",
        "Model = lambda: nn.Linear(4, 2)",
        "from functools import partial\nModel = partial(nn.Linear, 4, 2)",
        NET + "Model = Net",
        NET + "Model = partial = lambda: Net(5)",
        NET + "make = lambda: Net()\nModel = make",
        NET + "def make(width):\n    return lambda: Net(width)\nModel = make(3)",
        NET + "def make():\n    class In(nn.Module):\n        pass\n    return In\nModel = make()",
        "class Model(nn.Module):\n    pass\nModel = torch.compile(Model)",
        "from torch.nn import Identity as Model",
        "Model = nn.Identity",
    ],
)
def test_whatever_builds_a_model_without_arguments_will_do(model):
    assert warnings(model=model, parameters="RATE = 0.1") == []
    text = render_app("n.ipynb", parts(model=model)).files["task.py"]
    exec(text, names := {})
    assert isinstance(names["Model"](), torch.nn.Module)


@pytest.mark.parametrize(
    ("model", "spelling"),
    [
        (NET + "Model = Net()", "Model = Net"),
        (NET + "Model = Net(3)", "def Model(): return Net(3)"),
        (NET + "model = Net()\nModel = model", "Model = Net"),
        (
            NET + "net = Net()\nModel = net.to('cpu')",
            "def Model(): return net.to('cpu')",
        ),
        (NET + "Model = Net().eval()", "def Model(): return Net().eval()"),
        (NET + "Model = torch.compile(Net())", "def Model(): return torch.compile(Net())"),
        (NET + "Model = nn.DataParallel(Net())", "def Model(): return nn.DataParallel(Net())"),
        (NET + "def build():\n    net = Net()\n    return net\nModel = build()", "Model = build"),
        ("Model = nn.Linear(6, 2)", "def Model(): return nn.Linear(6, 2)"),
        ("from torchvision import models\nModel = models.resnet18()", "def Model(): return models"),
        ("import timm\nModel = timm.create_model('r')", "def Model(): return timm.create_model"),
        ("from monai.networks.nets import UNet\nModel = UNet(2)", "def Model(): return UNet(2)"),
    ],
)
def test_a_model_that_has_been_built_is_refused_with_the_spelling_that_will_do(model, spelling):
    [told] = problems(filled(model=model))
    message, hint = told.split("\n    ")
    assert message.endswith(BUILT)
    assert hint.startswith(f"Write: {spelling}")


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("def Model(width):\n    return nn.Linear(width, 2)", "`Model()` needs `width`, but it is"),
        ("Model = lambda n, *, m: nn.Linear(n, m)", "`Model()` needs `n`, `m`, but it is built"),
        ("def Model():\n    nn.Linear(4, 2)", "`Model` returns nothing"),
        (NET + "def Model():\n    return Net", "`Model` returns the class Net, not a model made"),
        ("async def Model():\n    return nn.Linear(4, 2)", "`Model` is an async function"),
        ("Model = [nn.Linear(4, 2)]", "`Model` is neither a class nor a function"),
    ],
)
def test_what_gives_no_model_when_it_is_called_is_refused(model, told):
    [problem] = problems(filled(model=model))
    assert told in problem
