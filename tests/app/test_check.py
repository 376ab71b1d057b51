from fixtures import small_notebook
from typer.testing import CliRunner

from federator.app.check import check_federation
from federator.cli import app


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
        for one in check_federation(small_notebook.federate(tmp_path, settings, content))[1]
    ]
    assert [text.split("\n")[0] for text in doubts] == [
        "tumour.ipynb: cell 9, line 1: `CLASSES` is 2, and the federation file names the labels "
        "a, b, c",
        "tumour.ipynb: cell 9, line 2: `CLASS_NAMES` is ['a', 'c', 'b'], and the federation file "
        "names the labels a, b, c",
    ]
    right = cells(classes="CLASSES = 3\nCLASS_NAMES = ['a', 'b', 'c']", needs=USES)
    assert check_federation(small_notebook.federate(tmp_path, settings, right))[1] == ()


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
    (doubt,) = check_federation(small_notebook.federate(tmp_path, "", content))[1]
    assert str(doubt).startswith(
        "tumour.ipynb: cell 6, line 6: `mse_loss` looks like `task: regression`, the federation "
        "file says `classification`"
    )
    settings = "task: regression\ntargets: {age: [0, 100]}\n"
    assert check_federation(small_notebook.federate(tmp_path, settings, content))[1] == ()
