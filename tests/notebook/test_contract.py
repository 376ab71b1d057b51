"""The contract: what goes where, and what is doubtful or wrong in a notebook."""

import time

import pytest
from fixtures import small_notebook
from fixtures.component_text import text
from fixtures.filled import filled, of, parts, problems, warnings
from nbformat.v4 import new_code_cell, new_notebook

from federator.errors import NotebookError
from federator.notebook import contract, reader


def test_a_filled_notebook_without_tags_is_taken_apart_by_name():
    made = parts(tags={"3": []})
    assert [s.cell for s in made.task.statements] == [2, 2, 2, 2, 3, 3, 4, 6, 7, 8]
    assert "matplotlib" not in text(made.task) and "flwr" not in text(made.task)
    assert text(made.aggregation) == small_notebook.STRATEGY.replace("\n\n", "\n")
    assert (made.strategy, made.rounds, dict(made.parameters)) == ("FedAdam", 4, {})
    assert made.task.imports.keys() == {"numpy", "torch"}
    assert made.aggregation.imports.keys() == {"flwr"}
    assert warnings() == []


def test_without_a_strategy_it_is_fedavg_and_the_server_gets_nothing():
    made = parts(strategy=None)
    assert (made.strategy, made.rounds, made.aggregation.statements) == ("FedAvg", None, ())
    assert not made.aggregation.imports


def test_literals_of_the_tagged_cell_are_parameters_if_they_are_needed():
    added = "RATE = -0.5\nWIDTH: int = 3\nSHAPE = (2, 2)\nUNUSED = 1\nNAME = 'a'; LAST = True"
    made = parts(
        parameters=added,
        extra="def predict(net, loader, *, s=SHAPE, l=LAST):\n    return 1, 2",
    )
    assert dict(made.parameters) == {"RATE": -0.5, "WIDTH": 3, "NAME": "a", "LAST": True}
    assert dict(parts().parameters) == {"WIDTH": 8, "RATE": 0.01}


def test_optional_predict_goes_in_with_what_it_needs():
    made = parts(extra="LIMIT = 3\ndef predict(net, loader):\n    return net, LIMIT")
    assert text(made.task).endswith("LIMIT = 3\ndef predict(net, loader):\n    return net, LIMIT")


def test_tags_force_a_cell_in_and_keep_one_out():
    made = parts(tags={"11": ["federate"]}, hello="HELLO = 1", seed="torch.manual_seed(HELLO)")
    assert text(made.task).endswith("HELLO = 1\ntorch.manual_seed(HELLO)")
    made = parts(tags={"10": ["local"]}, extra="RATE = 3")
    assert "RATE = 3" not in text(made.task)


def test_a_strategy_in_a_tagged_cell_still_goes_to_the_server_alone():
    made = parts(tags={"9": ["federate"]})
    assert made.strategy == "FedAdam"
    assert "strategy =" not in text(made.task)


def test_a_parameter_of_the_strategy_is_one_too():
    strategy = "import flwr as fl\nstrategy = fl.serverapp.strategy.FedAvg(fraction_train=RATE)"
    made = parts(strategy=strategy, train="def train(net, trainloader, valloader, epochs): print()")
    assert made.parameters["RATE"] == 0.01
    assert made.aggregation.statements[0].source == "RATE = 0.01"


def test_a_changed_plot_cell_changes_nothing():
    before = parts()
    for plot in ("plt.hist([1])", "%matplotlib inline\nimport numpy as np\nfig = 1", None):
        made = parts(plot=plot)
        assert [s.source for s in made.task.statements] == [
            s.source for s in before.task.statements
        ]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"load_data": "def load_data():\n    return 1, 2, 3, {}"},
            "cell 4, line 1: `load_data` asks for no folder; it is called inside the site's data "
            "folder\n    Better: def load_data(data_path): ...",
        ),
        (
            {"extra": "RATE = 0.5"},
            "cell 10, line 1: `RATE` is set in cell 3, line 2, and again here\n"
            "    What the last cell sets counts, as when the notebook runs from the top.",
        ),
        (
            {"extra": "def broken(:\n    pass"},
            "cell 10, line 1: the cell is left out: this is not valid Python: invalid syntax\n"
            "    Nothing that is needed seems to be in it.",
        ),
        (
            {"plot": "WIDTH = [8]", "parameters": "RATE = 0.1", "extra": "WIDTH.mix()\nRATE.real"},
            "cell 10, line 1: this call stays behind, though `WIDTH` goes in\n"
            "    If it changes something that is needed, tag the cell `federate`.",
        ),
        (
            {"strategy": small_notebook.STRATEGY.replace("0.1", "len(list(Model().modules()))")},
            "cell 2, line 4: the server's image needs torch as well\n"
            "    Leave the strategy free of the model if that is not meant.",
        ),
        (
            {"strategy": "config = {'num_rounds': 2, 'lr': 0.1}"},
            "cell 9, line 1: `lr` in `config` is not used; only `num_rounds` is",
        ),
        (
            {"strategy": "def make():\n    return 1\nstrategy = make()"},
            "cell 9, line 3: the class of `strategy` cannot be read from the notebook's text",
        ),
        (
            {"extra": "%%bash\nls"},
            "cell 10, line 1: the cell is left out: `%%bash` makes this cell something else than "
            "Python\n    Nothing that is needed seems to be in it.",
        ),
    ],
)
def test_what_is_doubtful_is_told_once_with_its_place(changed, told):
    assert warnings(**changed) == [told]


@pytest.mark.parametrize(
    "extra",
    [
        "WIDTH = 8  # hidden units",
        "RATE += 0.1",
        "for x in []:\n    pass",
        "def helper():\n    return RATE",
        "plt.show()",
        "%%capture\nimport numpy as np",
    ],
)
def test_nothing_is_told_of_what_changes_nothing(extra):
    assert warnings(extra=extra) == []


def test_a_script_that_a_cell_writes_defines_nothing_optional():
    made = parts(strategy=None, extra="%%writefile server.py\nstrategy = 1\nconfig = 2")
    assert (made.strategy, made.rounds) == ("FedAvg", None)


def test_an_optional_part_in_a_local_cell_is_told():
    assert warnings(tags={"9": ["local"]}) == [
        "cell 9, line 3: `strategy` is not used, since its cell is tagged `local`",
        "cell 9, line 4: `config` is not used, since its cell is tagged `local`",
    ]


def test_all_problems_are_told_at_once_in_the_order_of_the_cells():
    written = filled(model="class Model: pass", train="def train(net): pass", test=None)
    assert [problem.split("\n")[0] for problem in problems(written)] == [
        "the notebook defines no `test`",
        "cell 6, line 1: `Model` inherits from nothing, so it has no weights",
        "cell 7, line 1: `train` takes `net`, but is called as "
        "train(net, trainloader, valloader, epochs)",
        "cell 7, line 1: `train` is not filled in: its body is empty",
    ]


def test_the_time_grows_with_the_notebook_and_not_with_its_square():
    def seconds(count):
        cells = small_notebook.cells()
        cells += [new_code_cell(f"v{i} = np.ones({i})\nprint(v{i})\n" * 5) for i in range(count)]
        written = reader.from_node(new_notebook(cells=cells), "long.ipynb")
        start = time.process_time()
        contract.take_apart(written)
        return time.process_time() - start

    assert min(seconds(240) for _ in range(3)) < 12 * min(seconds(40) for _ in range(3))


def test_the_error_carries_every_problem():
    with pytest.raises(NotebookError) as caught:
        contract.take_apart(of("x = 1"))
    assert len(caught.value.problems) == 4


def test_await_stays_behind_and_takes_nothing_with_it():
    imports = small_notebook.IMPORTS + "\nimport asyncio\nawait asyncio.sleep(0)"
    made = parts(imports=imports)
    assert "await" not in text(made.task)
    assert "import torch" in text(made.task)
    [told] = [one for one in made.warnings if "`await`" in one.message]
    assert (told.where.cell, told.where.line) == (2, 7)
    used = "import asyncio\nVALUE = await asyncio.sleep(0)"
    needs = "def predict(net, loader):\n    return VALUE, 0"
    assert problems(filled(used=used, needs=needs)) == [
        "cell 10, line 2: `await` outside of a function works in Jupyter only, and this goes in\n"
        "    Write it without await, or in an async function that asyncio.run() calls."
    ]


def test_an_install_that_answers_a_failed_import_is_left_out():
    tried = "try:\n    import yaml\nexcept ImportError:\n    !pip install pyyaml"
    needs = "def predict(net, loader):\n    return yaml, 0"
    made = parts(tried=tried, needs=needs)
    assert "except ImportError:\n    raise" in text(made.task)
    [found] = [one for one in made.task.imported if one.module == "yaml"]
    assert found.need == "always"
    assert [one.split("\n")[0] for one in warnings(tried=tried, needs=needs)] == [
        "cell 10, line 4: `!pip install pyyaml` is not Python and is left out"
    ]


@pytest.mark.parametrize(
    "value",
    ["right / seen", "accuracy", "float(right)", "loss.item()", "len(testloader)", "1 - right"],
)
def test_a_test_that_returns_one_number_is_refused(value):
    body = "    accuracy = 0.0\n    accuracy += 3 / 4\n    right = seen = loss = testloader\n"
    test = f"def test(net, testloader):\n{body}    return {value}"
    assert problems(filled(test=test)) == [
        "cell 8, line 5: `test` returns one value, not 2\n"
        "    Write: def test(net, testloader): ... return loss, accuracy"
    ]


@pytest.mark.parametrize("value", ["(1, 2) + (3,)", "evaluate(net)", "result", "{'loss': 1}"])
def test_what_may_be_two_values_is_not_refused(value):
    lines = "result = evaluate(net)" if value == "result" else "pass"
    test = f"def evaluate(net): ...\ndef test(net, testloader):\n    {lines}\n    return {value}"
    assert problems(filled(test=test)) == []


def test_a_misspelt_variable_of_the_same_function_is_proposed():
    train = (
        "def train(net, trainloader, valloader, epochs):\n"
        "    critrion = nn.CrossEntropyLoss()\n    print(criterion)"
    )
    test = small_notebook.TEST.replace("loss, right", "criterion = 0\n    loss, right")
    assert problems(filled(train=train, test=test)) == [
        "cell 7, line 3: `criterion` is not defined, and `train` needs it\n"
        "    Did you mean `critrion` (line 2)?"
    ]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%run helpers.py", "write instead: from helpers import scale. A module beside"),
        ("%run -i helpers.ipynb", "write what is needed of it into a cell, or into a module"),
    ],
)
def test_what_a_script_defines_is_told_truthfully(line, told):
    needs = "def predict(net, loader):\n    return scale, 0"
    [problem] = problems(filled(ran=line, needs=needs))
    assert told in problem
