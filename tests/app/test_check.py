import pytest
from fixtures import small_notebook
from fixtures.small_notebook import MODEL, federate
from typer.testing import CliRunner

from federator.app import convert
from federator.app.check import check_federation
from federator.cli import app
from federator.errors import FederationFileError


def check(path):
    return CliRunner().invoke(app, ["check", str(path)])


USES = "def predict(net, loader):\n    return CLASSES, CLASS_NAMES"


def cells(**changed):
    return small_notebook.cells(plot=None, **changed)


def test_all_is_well_and_nothing_is_written(tmp_path):
    read = small_notebook.federate(tmp_path, content=cells())
    before = sorted(tmp_path.rglob("*"))
    done = check(read.folder)
    assert done.exit_code == 0, done.output
    assert done.output.rstrip().endswith("all is well")
    assert "cell 4  def load_data(data_path):" in done.output.replace("cell  ", "cell ")
    assert check(read.folder / "federation.yaml").output.rstrip().endswith("all is well")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_federation_file_says_otherwise_than_the_notebook_is_told(tmp_path):
    settings = "labels: [a, b, c]\n"
    content = cells(classes="CLASSES = 2\nCLASS_NAMES = ['a', 'c', 'b']", needs=USES)
    doubts = [
        str(one)
        for one in check_federation(small_notebook.federate(tmp_path, settings, content)).doubts
    ]
    assert [text.split("\n")[0] for text in doubts] == [
        "tumour.ipynb: cell 9, line 1: `CLASSES` is 2, and the federation file names the labels "
        "a, b, c",
        "tumour.ipynb: cell 9, line 2: `CLASS_NAMES` is ['a', 'c', 'b'], and the federation file "
        "names the labels a, b, c",
    ]
    right = cells(classes="CLASSES = 3\nCLASS_NAMES = ['a', 'b', 'c']", needs=USES)
    assert check_federation(small_notebook.federate(tmp_path, settings, right)).doubts == ()


def test_an_unknown_parameter_and_a_missing_package_are_errors(tmp_path):
    read = small_notebook.federate(tmp_path, "parameters: {WIDHT: 3}\n", cells())
    done = check(read.folder)
    assert done.exit_code == 2
    assert "parameters.WIDHT is no parameter of the notebook" in done.output
    missing = cells(mine="import nowhere_to_be_found", needs="def predict(net, loader):\n"
                    "    return nowhere_to_be_found, 0")  # fmt: skip
    read = small_notebook.federate(tmp_path, "", missing)
    done = check(read.folder)
    assert done.exit_code == 2
    assert "nowhere_to_be_found" in done.output


def test_a_missing_data_folder_is_told_with_its_path(tmp_path):
    read = small_notebook.federate(tmp_path, content=cells())
    file = read.folder / "federation.yaml"
    file.write_text(file.read_text().replace("{name: north}", "{name: north, data: ../../gone}"))
    done = check(read.folder)
    assert done.exit_code == 0
    assert f"the data folder of site north is not there: {tmp_path / 'gone'}" in done.output
    assert done.output.rstrip().endswith("see the warnings")


def test_a_task_that_the_notebook_does_not_look_like_is_told(tmp_path):
    train = small_notebook.TRAIN.replace("cross_entropy", "mse_loss")
    test = small_notebook.TEST.replace("cross_entropy", "mse_loss")
    content = cells(train=train, test=test)
    read = small_notebook.federate(tmp_path, "", content)
    (doubt,) = check_federation(read).doubts
    assert convert.convert(read, tmp_path / "build").warnings == (doubt,), "convert and run, too"
    assert str(doubt).startswith(
        "tumour.ipynb: cell 6, line 6: `mse_loss` looks like `task: regression`, the federation "
        "file says `classification`"
    )
    settings = "task: regression\ntargets: {age: [0, 100]}\n"
    assert check_federation(small_notebook.federate(tmp_path, settings, content)).doubts == ()


@pytest.mark.parametrize(
    ("local", "model", "shown", "told"),
    [
        ('["layers.2.*"]', MODEL, ["layers.2.weight", "layers.2.bias"], []),
        ('["layers.2.bias", "*.bn*"]', MODEL, ["layers.2.bias"], ["no tensor of the model is "]),
        ('["*.bn*"]', MODEL.replace("nn.ReLU()", "relu()"), [], []),
        ("[]", MODEL, [], []),
    ],
)
def test_tensors_that_stay_are_told_as_far_as_the_text_shows(tmp_path, local, model, shown, told):
    content = cells(model="relu = nn.ReLU\n\n" + model)
    checked = check_federation(federate(tmp_path, f"local: {local}\n", content))
    lines = checked.text.splitlines()
    assert [ln for ln in lines if ln.startswith("stays at each site")] == [
        f"stays at each site: {name}" for name in shown
    ]
    unclear = [ln for ln in lines if "known when the model is made" in ln]
    assert unclear == ["tensors of layers.1 are known when the model is made: `federator run`"] * (
        "relu()" in model
    )
    found = [str(problem) for problem in checked.doubts if "tensor" in str(problem)]
    assert len(found) == len(told)
    assert all(told[0] in one and "federation.yaml: line 3" in one for one in found)


OWN = """\
from flwr.serverapp.strategy import FedAvg

class Mine(FedAvg):
    pass

strategy = Mine()"""


def test_a_strategy_that_runs_at_the_server_is_shown(tmp_path):
    content = cells(strategy=OWN)
    checked = check_federation(small_notebook.federate(tmp_path, "strategy: own\n", content))
    strategy = "strategy: Mine, code that runs at the server (tumour.ipynb: cell 8, line 3)"
    assert strategy in checked.text
    assert checked.doubts == ()
    done = check(tmp_path / "notebooks" / "tumour.ipynb")
    assert "strategy: Mine, code that runs at the server" in done.output


def test_a_plain_strategy_need_not_run_at_the_server(tmp_path):
    read = small_notebook.federate(tmp_path, "strategy: own\n", cells())
    (doubt,) = check_federation(read).doubts
    assert "`strategy: own` is not needed" in str(doubt)


KRUM = "from flwr.serverapp.strategy import Krum\n\nstrategy = Krum(num_malicious_nodes=%d)"


@pytest.mark.parametrize(
    ("malicious", "says"),
    [(0, "is told of no malicious site"), (1, "withstands 1 of 5 sites, not of 2")],
)
def test_krum_where_it_promises_nothing_is_told(tmp_path, malicious, says):
    read = small_notebook.federate(tmp_path, "", cells(strategy=KRUM % malicious))
    (doubt,) = check_federation(read).doubts
    assert says in str(doubt)


def test_a_bound_that_the_strategy_cannot_keep_is_refused(tmp_path):
    strategy = "from flwr.serverapp.strategy import FedMedian\n\nstrategy = FedMedian()"
    settings = "robust: {max_share: 0.6}\n"
    read = small_notebook.federate(tmp_path, settings, cells(strategy=strategy))
    with pytest.raises(FederationFileError, match=r"line \d+: FedMedian makes no mean") as refused:
        check_federation(read)
    assert "remove max_share" in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("task: survival\nhorizon: 60\n", "`task: survival` needs a predict"),
        (
            "task: segmentation\nlabels: [none, tumour]\nsurfaces: 50 mm\n",
            "`surfaces: 50 mm` needs a predict",
        ),
        ("task: segmentation\nlabels: [none, tumour]\nsurfaces: 9 voxels\n", None),
    ],
)
def test_what_cannot_be_evaluated_without_a_predict_is_told(tmp_path, settings, told):
    for name, predict in (("without", None), ("with", "def predict(net, loader):\n    yield 1")):
        (tmp_path / name).mkdir()
        content = cells(classes="CLASSES = 2", needs=predict or "pass")
        checked = check_federation(small_notebook.federate(tmp_path / name, settings, content))
        found = [str(one) for one in checked.doubts if "needs a predict" in str(one)]
        expected = bool(told) and name == "without"
        assert len(found) == expected
        assert not expected or told in found[0]
