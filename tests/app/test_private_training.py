"""What ``check`` says of a notebook that is to be trained with differential privacy."""

import pytest
from fixtures import small_notebook
from fixtures.small_notebook import MODEL, TRAIN

from federator.app import convert
from federator.app.check import check_federation
from federator.errors import NotebookError
from federator.federation import settings
from federator.runtime.app_config import app_config
from federator.runtime.protocol.privacy.settings import PrivacySettings
from federator.runtime.review import forms

PRIVACY = "privacy: {epsilon: 8, delta: 1e-5, clip: 1.0, noise: 1.1%s}\n"
CALL = "    net, optimizer, trainloader = privacy(net, optimizer, trainloader)\n"
PRIVATE = TRAIN.replace("epochs):", "epochs, privacy=None):").replace(
    "    for _ in", f"    if privacy:\n    {CALL}    for _ in"
)
PLAIN = "config = {'num_rounds': 2}"
PATIENTS = "def patients_of(dataset):\n    return range(len(dataset))"


def problems(tmp_path, more="", unit="", **changed):
    cells = small_notebook.cells(
        **{"plot": None, "train": PRIVATE, "strategy": PLAIN, **changed},
    )
    read = small_notebook.federate(tmp_path, PRIVACY % unit + more, cells)
    try:
        return [str(one) for one in check_federation(read).doubts]
    except NotebookError as error:
        return [str(one) for one in error.problems]


def test_a_notebook_that_takes_privacy_passes_and_its_app_says_so(tmp_path):
    assert problems(tmp_path) == []
    assert problems(tmp_path / "2", unit=", unit: patient", mine=PATIENTS) == []
    read = small_notebook.federate(
        tmp_path / "3", PRIVACY % "", small_notebook.cells(train=PRIVATE, strategy=PLAIN)
    )
    made = convert.convert(read, tmp_path / "build")
    told = PrivacySettings.in_config(app_config(made.app))
    assert told == PrivacySettings(8.0, 1e-5, 1.0, 1.1)
    assert convert.OPACUS in made.client_requirements
    assert convert.OPACUS not in made.server_requirements
    other = small_notebook.federate(
        tmp_path / "4", "", small_notebook.cells(train=PRIVATE, strategy=PLAIN)
    )
    plain = convert.convert(other, tmp_path / "build2")
    assert convert.OPACUS not in plain.client_requirements
    assert "privacy" not in app_config(plain.app)


def test_the_link_is_told_and_no_site_is_surveyed(tmp_path):
    private = small_notebook.federate(tmp_path, PRIVACY % "", small_notebook.cells(train=PRIVATE))
    told = settings.link(private, private.sites[0])["FEDERATOR_PRIVACY"]
    assert told == "epsilon=8.0 delta=1e-05 clip=1.0 noise=1.1 unit=record"
    assert forms.PRIVACY.matches(told), "a site's review lets it pass"
    assert not forms.PRIVACY.matches(told.replace("8.0", "${EPSILON:-8.0}"))
    assert settings.server(private)["survey"] == "no"
    plain = small_notebook.federate(tmp_path / "2", "survey: required\n", small_notebook.cells())
    assert settings.link(plain, plain.sites[0])["FEDERATOR_PRIVACY"] == ""
    assert forms.PRIVACY.matches("")
    assert settings.server(plain)["survey"] == "required"


@pytest.mark.parametrize(
    ("changed", "cell", "line", "words"),
    [
        ({"train": TRAIN}, 6, 1, "`train` takes no `privacy`, which the federation asks for"),
        ({"train": PRIVATE.replace("privacy:", "epochs:").replace(CALL, "    pass\n")}, 6, 1,
         "`train` does not use `privacy`"),
        ({"model": MODEL.replace("nn.ReLU()", "nn.BatchNorm1d(WIDTH)")}, 5, 4,
         "`BatchNorm1d` cannot be trained with differential privacy\n    "
         "Write nn.GroupNorm in its place."),
        ({"model": MODEL.replace("nn.ReLU()", "torch.nn.modules.SyncBatchNorm(WIDTH)")}, 5, 4,
         "`SyncBatchNorm` cannot be trained"),
        ({"model": MODEL + "\n\ndef norm(n, kind=nn.BatchNorm2d):\n    return kind(n)\n",
          "train": PRIVATE.replace("    for _ in", "    norm(2)\n    for _ in")}, 5, 9,
         "`BatchNorm2d` cannot be trained"),
        ({"model": "from torchvision.models import resnet18\nModel = lambda: resnet18()"}, 5, 2,
         "`resnet18` has BatchNorm"),
        ({"model": MODEL.replace("nn.ReLU()", "nn.LSTM(4, 4)")}, 5, 4,
         "Write opacus.layers.DPLSTM in its place."),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_so_is_refused_with_its_place(tmp_path, changed, cell, line, words):
    (problem,) = problems(tmp_path, **changed)
    assert problem.startswith(f"tumour.ipynb: cell {cell}, line {line}: ")
    assert words in problem.replace("\n  ", "\n    ").replace("\n      ", "\n    ")


@pytest.mark.parametrize(
    "model",
    [
        "from torchvision.models import resnet18\n"
        "Model = lambda: resnet18(norm_layer=lambda n: nn.GroupNorm(8, n))",
        MODEL.replace("    def forward", "        for one in self.modules():\n            assert "
                      "not isinstance(one, (nn.BatchNorm1d, nn.BatchNorm2d))\n\n    def forward"),
        "class LSTM(nn.Module):\n    pass\n\n"
        + MODEL.replace("nn.ReLU()", "LSTM()"),
    ],
)  # fmt: skip
def test_what_only_looks_like_it_passes(tmp_path, model):
    assert problems(tmp_path, model=model) == []


def test_a_patient_as_unit_needs_to_be_told(tmp_path):
    (problem,) = problems(tmp_path, unit=", unit: patient")
    assert "`privacy.unit` is patient, and there is no `patients_of`" in problem
    assert "def patients_of(dataset)" in problem


def test_a_strategy_that_needs_the_training_set_s_loss_is_refused(tmp_path):
    fair = "from flwr.serverapp.strategy import QFedAvg\n\nstrategy = QFedAvg(q=0.2)"
    (problem,) = problems(tmp_path, strategy=fair)
    assert "QFedAvg weighs sites by the loss of their training sets" in problem
