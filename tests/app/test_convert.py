"""From a federation file and its notebook to build/<federation>."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from fixtures import small_notebook
from fixtures.converted import app_bytes, components
from nbformat import NotebookNode

from federator.common.templates import Templates
from federator.errors import FederationFileError, InputError, NotebookError, RequirementError
from federator.runtime import source_map


def test_the_folder_holds_the_app_its_map_and_its_requirements(tmp_path: Path) -> None:
    made = components(tmp_path)
    assert made.folder == tmp_path / "build" / "tumours"
    assert sorted(str(path.relative_to(made.folder)) for path in made.folder.rglob("*")) == [
        "app",
        "app/aggregation.py",
        "app/client_app.py",
        "app/pyproject.toml",
        "app/server_app.py",
        "app/task.py",
        "requirements-client.txt",
        "requirements-server.txt",
        "source-map.json",
    ]
    assert source_map.read(made.folder / "source-map.json") == made.source_map
    assert [path.name for path in made.folder.parent.iterdir()] == ["tumours"]


def test_the_files_are_what_the_formatter_and_pyflakes_want(tmp_path: Path) -> None:
    made = components(tmp_path)
    for command in (["format", "--check"], ["check", "--select=E,F,W"]):
        subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--line-length=100", "--isolated", made.app],
            check=True,
        )


def test_requirements_are_those_of_each_image(tmp_path: Path) -> None:
    made = components(tmp_path, "requirements: {openpyxl: openpyxl==3.1.5}")
    torch = version("torch").partition("+")[0]
    assert made.client_requirements == (
        f"numpy=={version('numpy')}",
        "openpyxl==3.1.5",
        f"torch=={torch}",
    )
    assert made.server_requirements == ()
    written = (made.folder / "requirements-client.txt").read_text().splitlines()
    assert tuple(written) == made.client_requirements
    assert (made.folder / "requirements-server.txt").read_text() == ""


def test_what_the_federation_file_leaves_out_is_in_no_image(tmp_path: Path) -> None:
    guarded = (
        small_notebook.IMPORTS + "\ntry:\n    import apex\nexcept ImportError:\n    apex = None"
    )
    content = small_notebook.cells(
        imports=guarded,
        test=small_notebook.TEST.replace("loss, right", "_, loss, right").replace(
            "= 0.0", "= apex, 0.0", 1
        ),
    )
    warnings = components(tmp_path, content=content).warnings
    (warning,) = [one for one in warnings if "`import apex` is optional" in one.message]
    assert str(warning.where) == "tumour.ipynb: cell 2, line 7"
    for nothing in ("''", ""):
        made = components(tmp_path, f"requirements: {{apex: {nothing}}}", content)
        assert warning not in made.warnings
        assert not any("apex" in line for line in made.client_requirements)


def test_every_requirement_without_a_version_is_told_at_once(tmp_path: Path) -> None:
    settings = "requirements: {numpy: numpy>=2, openpyxl: openpyxl}"
    with pytest.raises(RequirementError) as caught:
        components(tmp_path, settings)
    assert len(caught.value.problems) == 2
    assert "federation.yaml: line 3" in str(caught.value.problems[1].where)


def test_an_aggregation_that_uses_torch_needs_torch(tmp_path: Path) -> None:
    strategy = (
        "import torch\nfrom flwr.serverapp.strategy import FedAvg\n\n"
        "class Mine(FedAvg):\n    zero = torch.zeros(1)\n\nstrategy = Mine()"
    )
    content = small_notebook.cells(strategy=strategy)
    made = components(tmp_path, "strategy: own", content)
    assert made.server_requirements == (f"torch=={version('torch').partition('+')[0]}",)


SCHEDULED = """\
from flwr.serverapp.strategy import FedAvg

def schedule():
    return 1.0

strategy = FedAvg(fraction_train=schedule())"""


def test_a_strategy_with_code_is_an_error_unless_it_is_declared(tmp_path: Path) -> None:
    content = small_notebook.cells(strategy=SCHEDULED)
    with pytest.raises(NotebookError) as told:
        components(tmp_path, content=content)
    assert str(told.value).split("\n")[0] == (
        "tumour.ipynb: cell 9, line 3: the strategy is code that runs at the server: "
        "it defines `schedule`"
    )
    assert "`strategy: own`" in str(told.value)
    assert components(tmp_path, "strategy: own", content).app.exists()


def test_a_template_adds_no_code_to_a_plain_strategy(tmp_path: Path) -> None:
    own = tmp_path / "component_templates" / "app" / "aggregation.py.j2"
    own.parent.mkdir(parents=True)
    text = Templates().read("app/aggregation.py.j2")
    own.write_text(f"{text}\nimport os\n")
    with pytest.raises(NotebookError, match=r"^aggregation.py: line \d+: .*it imports `os`"):
        components(tmp_path)


def test_a_template_starts_nothing_else_at_the_server(tmp_path: Path) -> None:
    own = tmp_path / "component_templates" / "app" / "server_app.py.j2"
    own.parent.mkdir(parents=True)
    own.write_text(Templates().read("app/server_app.py.j2") + "\nprint()\n")
    with pytest.raises(InputError, match=r"server_app.py: it runs something else at the server"):
        components(tmp_path)
    assert not (tmp_path / "build" / "tumours").exists()


def test_every_line_of_the_author_is_found_again(tmp_path: Path) -> None:
    content = small_notebook.cells()
    made = components(tmp_path, content=content)
    found = 0
    for name in ("task.py", "aggregation.py"):
        for number, line in enumerate((made.app / name).read_text().splitlines(), 1):
            where = made.source_map.locate(name, number)
            if where and where.cell and where.line and "parameter(" not in line:
                assert (
                    content[where.cell - 1].source.splitlines()[where.line - 1].strip()
                    == line.strip()
                )
                found += 1
    assert found == 36


def test_the_configuration_of_a_run(tmp_path: Path) -> None:
    made = components(
        tmp_path, "labels: [benign, malignant]\nmetrics: [dice]\nselect: best\nseed: 7"
    )
    app = tomllib.loads((made.app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert app["config"] == {
        "rounds": 4,
        "local-epochs": 1,
        "seed": 7,
        "labels": "benign,malignant",
        "positive": "malignant",
        "metrics": "dice",
        "select": "best",
        "parameters": {"WIDTH": 8, "RATE": 0.01},
    }


@pytest.mark.parametrize(
    ("settings", "strategy", "rounds"),
    [
        ("rounds: 9", small_notebook.STRATEGY, 9),
        ("", small_notebook.STRATEGY, 4),
        ("", None, 3),
    ],
)
def test_the_number_of_rounds(
    tmp_path: Path, settings: str, strategy: str | None, rounds: int
) -> None:
    made = components(tmp_path, settings, small_notebook.cells(strategy=strategy))
    config = tomllib.loads((made.app / "pyproject.toml").read_text())["tool"]["flwr"]["app"][
        "config"
    ]
    assert config["rounds"] == rounds


def test_without_a_strategy_the_server_averages(tmp_path: Path) -> None:
    made = components(tmp_path, content=small_notebook.cells(strategy=None))
    assert (
        (made.app / "aggregation.py")
        .read_text()
        .endswith('"""\n\nfrom flwr.serverapp.strategy import FedAvg\n\nstrategy = FedAvg()\n')
    )
    config = "config = {'num_rounds': 2}"
    made = components(tmp_path, content=small_notebook.cells(strategy=config))
    assert (made.app / "aggregation.py").read_text().endswith(f"strategy = FedAvg()\n\n{config}\n")


def test_the_federation_file_sets_parameters(tmp_path: Path) -> None:
    made = components(tmp_path, "parameters: {RATE: 1, WIDTH: 16}")
    app = tomllib.loads((made.app / "pyproject.toml").read_text())["tool"]["flwr"]["app"]
    assert app["config"]["parameters"] == {"WIDTH": 16, "RATE": 1.0}
    assert 'RATE = parameter("RATE", 0.01)' in (made.app / "task.py").read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("parameters: {RAT: 0.1}", "did you mean RATE?"),
        ("parameters: {layers: 3}", "WIDTH, RATE"),
        ("parameters: {NAME: skin}", "parameters.NAME is no parameter of the notebook"),
        ("parameters: {WIDTH: 1.5}", "WIDTH is a whole number in the notebook, not 1.5"),
        ("parameters: {WIDTH: true}", "WIDTH is a whole number in the notebook, not true"),
        ("parameters: {RATE: fast}", 'RATE is a number in the notebook, not "fast"'),
    ],
)
def test_a_wrong_parameter_is_explained(tmp_path: Path, settings: str, message: str) -> None:
    with pytest.raises(FederationFileError) as caught:
        components(tmp_path, settings)
    assert message in str(caught.value)
    assert str(caught.value).startswith("federation.yaml: line 3: ")


# Errors leave what was there.


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (small_notebook.cells(train=None), NotebookError),
        (
            small_notebook.cells(
                model="import monai\n" + small_notebook.MODEL.replace("nn.Mod", "monai.Mod")
            ),
            RequirementError,
        ),
    ],
)
def test_an_error_leaves_the_former_folder(
    tmp_path: Path, content: list[NotebookNode], error: type[InputError]
) -> None:
    before = app_bytes(tmp_path, small_notebook.cells())
    with pytest.raises(error) as caught:
        components(tmp_path, content=content)
    assert "tumour.ipynb" in str(caught.value)
    folder = tmp_path / "build" / "tumours" / "app"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.parent.iterdir()] == ["tumours"]


def test_an_error_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotebookError):
        components(tmp_path, content=small_notebook.cells(train=None))
    assert not (tmp_path / "build").exists()


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    (tmp_path / "build").write_text("not a folder")
    with pytest.raises(Exception, match=r"build/tumours: cannot be written: .+") as caught:
        components(tmp_path)
    assert (tmp_path / "build").read_text() == "not a folder"
    assert "Traceback" not in str(caught.value)


def test_the_app_names_the_flower_that_it_is_made_for(tmp_path: Path) -> None:
    project = tomllib.loads((components(tmp_path).app / "pyproject.toml").read_text())["project"]
    assert f"flwr=={version('flwr')}" in project["dependencies"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("FedMedian()", "FedMedian needs the update of each site"),
        ("FedTrimmedAvg(beta=0.2)", "FedTrimmedAvg needs the update of each site"),
        ("Krum(num_malicious_nodes=1)", "Krum needs the update of each site"),
        ("MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2)", "MultiKrum needs"),
        ("QFedAvg(0.1, 0.1)", "QFedAvg needs the update of each site"),
        ("FedAvg(fraction_train=0.5)", "all sites train in each round (fraction_train)"),
        ("FedAvg(0.5)", "all sites train in each round (fraction_train)"),
        ("FedAdam(eta=0.1)", ""),
        ("FedAvgM(server_momentum=0.9)", ""),
    ],
)
def test_secure_aggregation_is_refused_with_a_strategy_that_needs_more_than_sums(
    tmp_path: Path, made: str, said: str
) -> None:
    name = made.partition("(")[0]
    text = f"from flwr.serverapp.strategy import {name}\nstrategy = {made}"
    content = small_notebook.cells(strategy=text)
    sums = "secure_aggregation: true"
    three = ["east", "north", "west"]
    if not said:
        assert components(tmp_path, sums, content, sites=three).app.exists()
        return
    with pytest.raises(NotebookError, match=re.escape(said)) as told:
        components(tmp_path, sums, content, sites=three)
    assert "federation.yaml: line" in str(told.value)
