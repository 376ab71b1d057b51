"""The likely task of a notebook, and the warning where the federation file says another."""

import pytest
from fixtures.small_notebook import IMPORTS, MODEL, TRAIN, cells, write

from federator.notebook.checks.likely_task import likely, problems
from federator.notebook.contract import take_apart
from federator.notebook.reader import read

CE = "nn.functional.cross_entropy(net(x), y)"
TEST = "def test(net, loader):\n    return {report}"
DENSE = """\
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(1, 4, 3, padding=1), nn.ConvTranspose2d(4, 2, 2)

    def forward(self, x):
        return self.up(self.down(x).relu())"""
POOLED = DENSE.replace("self.up(self.down(x).relu())", "self.up(self.down(x)).mean((2, 3))")
LAST = "nn.Linear(WIDTH, 2)"


def task(tmp_path, loss=CE, used="", report="{'loss': 0.0}", model=MODEL, **more):
    changed = {
        "imports": f"{IMPORTS}\n{used}",
        "train": TRAIN.replace(CE, loss),
        "test": TEST.format(report=report),
        "model": model,
        "plot": None,
    }
    return take_apart(read(write(tmp_path / "a.ipynb", cells(**changed, **more)))).task


def name(component, labels=2):
    found = likely(component, labels, "a.ipynb")
    return found[0] if found else None


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CE, "classification"),
        ("nn.NLLLoss()(net(x), y)", "classification"),
        ("nn.MSELoss()(net(x), y)", "regression"),
        ("nn.functional.smooth_l1_loss(net(x), y)", "regression"),
        ("cox_ph_loss(net(x), y)", "survival"),
        ("DiceLoss(sigmoid=True)(net(x), y)", "segmentation"),
        ("DiceCELoss()(net(x), y)", "segmentation"),
        ("nn.MultiLabelSoftMarginLoss()(net(x), y)", "multilabel"),
        ("(net(x) - y).abs().mean()", None),
        (f"({CE} + nn.functional.mse_loss(net(x), y))", None),
    ],
)
def test_losses_tell_the_task(tmp_path, loss, expected):
    used = "from monai.losses import DiceLoss, DiceCELoss\nfrom losses import cox_ph_loss"
    assert name(task(tmp_path, loss, used)) == expected


@pytest.mark.parametrize(
    ("last", "labels", "expected"),
    [
        ("nn.Linear(WIDTH, 1)", 2, "classification"),
        ("nn.Linear(WIDTH, 1)", 5, "classification"),
        ("nn.Linear(WIDTH, 5)", 5, "multilabel"),
        ("nn.Linear(WIDTH, 2)", 2, "multilabel"),
        ("nn.Linear(WIDTH, CLASSES)", 2, "multilabel"),
        ("nn.LazyLinear(5)", 2, "multilabel"),
        ("nn.Linear(WIDTH, len(NAMES))", 2, "classification"),
        ("nn.Linear(WIDTH, len(NAMES))", 5, "multilabel"),
    ],
)
def test_binary_losses_are_told_apart_by_the_models_width(tmp_path, last, labels, expected):
    loss = "nn.BCEWithLogitsLoss()(net(x), y)"
    named = {"named": "CLASSES = 4\nNAMES = list('abcd')"}
    made = task(tmp_path, loss, model=MODEL.replace(LAST, last), **named)
    assert name(made, labels) == expected


@pytest.mark.parametrize(
    ("model", "loss", "expected"),
    [
        (DENSE, CE, "segmentation"),
        (DENSE, "nn.functional.binary_cross_entropy(net(x), y)", "segmentation"),
        (DENSE, "nn.functional.mse_loss(net(x), y)", None),
        (POOLED, CE, "classification"),
        ("def Model():\n    return monai.networks.nets.UNet(2, 1, out_channels=2)", CE,
         "segmentation"),
        ("class Model(SegResNet):\n    pass", CE, "segmentation"),
    ],
)  # fmt: skip
def test_a_value_for_each_pixel_is_a_segmentation(tmp_path, model, loss, expected):
    used = "import monai\nfrom monai.networks.nets import SegResNet"
    assert name(task(tmp_path, loss, used, model=model)) == expected


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("{'loss': 0.0, 'dice': 0.5}", "segmentation"),
        ("{'loss': 0.0, 'hd95': 3.0}", "segmentation"),
        ("{'loss': 0.0, 'c_index': 0.5}", "survival"),
        ("{'loss': 0.0, 'auc': 0.5}", "classification"),
        ("{'loss': 0.0, 'mae': 0.5}", None),
    ],
)
def test_metrics_tell_the_task(tmp_path, report, expected):
    assert name(task(tmp_path, report=report)) == expected


def test_boxes_are_a_task_of_the_authors_own(tmp_path):
    load = "def load_data(data_path):\n    made = [(0, {'boxes': [1]})]\n"
    load += "    return made, made, made, {'trainset': 1, 'valset': 1, 'testset': 1}"
    assert name(task(tmp_path, load_data=load)) == "other"


def test_a_renamed_import_and_a_base_class_are_seen(tmp_path):
    used = "from monai.losses import DiceLoss as Loss"
    assert name(task(tmp_path, "Loss()(net(x), y)", used)) == "segmentation"


def test_what_stays_behind_tells_nothing(tmp_path):
    assert name(task(tmp_path, behind="nn.functional.mse_loss(1, 2)")) == "classification"


def test_the_warning_names_the_place_both_tasks_and_what_to_write(tmp_path):
    made = task(tmp_path, "nn.functional.mse_loss(net(x), y)")
    (problem,) = problems(made, "classification", 2, "a.ipynb")
    assert str(problem) == (
        "a.ipynb: cell 6, line 6: `mse_loss` looks like `task: regression`, the federation file "
        "says `classification`\n    Write `task: regression` and `targets: {NAME: [LOWEST, "
        "HIGHEST]}`, with plausible values, there, unless classification is meant."
    )
    for same in ("regression", "other"):
        assert list(problems(made, same, 1, "a.ipynb")) == []
