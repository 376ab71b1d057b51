import pytest
from fixtures.filled import filled, problems

LIGHTNING = "import pytorch_lightning as pl\nclass Classifier(pl.LightningModule):\n    pass"
BLOCKS = (
    "class Block(nn.Module):\n    pass\n"
    "class VGG(Block):\n    pass\n"
    "class Stage(nn.Module):\n    def __init__(self):\n        self.inner = Block()"
)


@pytest.mark.parametrize(
    ("changed", "name", "line"),
    [
        ({"model": LIGHTNING + "\nmodel = Classifier()"}, "Classifier", 2),
        ({"model": BLOCKS + "\nmodels = [VGG()]"}, "Stage", 5),
        ({"model": "class TinyModel(nn.Module):\n    pass\nclass Other(nn.Module):\n    pass"},
         "TinyModel", 1),
        ({"model": "from transformers import BertPreTrainedModel\n"
                   "class Bert(BertPreTrainedModel):\n    pass"}, "Bert", 2),
        ({"model": "from torchvision import models\ndef build():\n"
                   "    net = models.resnet18()\n    return net.to('cpu')\nmodel = build()"},
         "build", 2),
        ({"train": "from tqdm import trange\ntrainer = 1\ntrain_ds = []\ny_train = 0\n"
                   "def train_model(net):\n    pass"}, "train_model", 5),
        ({"train": "def trian(net, trainloader, valloader, epochs):\n    pass"}, "trian", 1),
        ({"test": "def evaluate(net, loader):\n    return 1, 2"}, "evaluate", 1),
        ({"load_data": "def get_dataloaders(path):\n    pass"}, "get_dataloaders", 1),
    ],
)  # fmt: skip
def test_a_hint_names_the_function_or_class_that_is_there(changed, name, line):
    [told] = [text for text in problems(filled(**changed)) if "defines no" in text]
    assert f"Is it `{name}` (cell " in told
    assert f", line {line})?" in told


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "model = nn.Linear(4, 2)\nmodels = [model]"},
        {"model": "from torchvision import models\nmodel = models.resnet18()"},
        {"train": "from tqdm import trange\ntrainer = object()\ntrain_dir = ''"},
        {"test": "x_test = 3\ntests = []\nimport unittest as tests"},
        {"load_data": "from scipy.io import loadmat\nfrom datasets import load_dataset"},
    ],
)
def test_a_hint_names_no_instance_module_or_data(changed):
    [told] = [text for text in problems(filled(**changed)) if "defines no" in text]
    assert "Is it" not in told


@pytest.mark.parametrize(
    "data",
    ["train, test = train_test_split([1, 2])", "test = [1, 2]", "train, *test = range(9)",
     "test = np.load('a.npy')", "for test in [1, 2]:\n    print(test)"],
)  # fmt: skip
def test_data_that_has_the_name_of_a_part_is_told_as_data(data):
    told = problems(filled(extra=data))
    assert any("cell 10, line 1: `test` is data here, and a function elsewhere" in t for t in told)
    assert any("Rename it, for example to test_set." in text for text in told)
