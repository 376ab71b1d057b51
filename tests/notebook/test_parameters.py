import pytest
from fixtures.filled import filled, parts, warnings

from federator.app.render import render_app
from federator.notebook import contract

USES = "def predict(net, loader, *, a=A, b=B):\n    return a, b"


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("A: float = 0.1\nB: int = -3", ['A: float = parameter("A", 0.1)']),
        ("A = 1; B = 'two'", ['A = parameter("A", 1); B = parameter("B", \'two\')']),
        ("A = B = 3  # both", ['A = parameter("A", 3); B = parameter("B", 3)  # both']),
        ("A, B = 1, True", ['A, B = parameter("A", 1), parameter("B", True)']),
        ("(A, B) = (-1, 1e-3)", ['(A, B) = (parameter("A", -1), parameter("B", 1e-3))']),
        ("A = 'π'; B = A = 2", ['A = \'π\'; B = parameter("B", 2); A = parameter("A", 2)']),
    ],
)
def test_every_way_to_assign_a_literal_makes_a_parameter(cell, written):
    made = parts(parameters=cell, extra=USES, model=MODEL, train=TRAIN)
    assert made.parameters.keys() == {"A", "B"}
    lines = render_app("tumour.ipynb", made).files["task.py"].split("\n")
    assert [line for line in written if line in lines] == written
    assert warnings(parameters=cell, extra=USES, model=MODEL, train=TRAIN) == []


@pytest.mark.parametrize("value", ["[1, 2]", "None", "(1, 2)", "2 ** 3", "str(3)", "b'x'"])
def test_what_cannot_be_a_parameter_is_told_with_its_place(value):
    changed = {"parameters": f"A = 1\nB = {value}", "extra": USES, "model": MODEL, "train": TRAIN}
    assert parts(**changed).parameters == {"A": 1}
    assert warnings(**changed) == [
        "cell 3, line 2: `B` is in the cell tagged `parameters`, but no run can set it\n"
        "    Only a number, a text, True or False can be set: write it as a literal."
    ]


def test_papermills_cell_is_named_and_counts():
    tags = {"10": ["injected-parameters"]}
    made = contract.take_apart(filled(tags, injected="RATE = 0.5"))
    assert made.parameters == {"WIDTH": 8, "RATE": 0.5}
    assert 'RATE = parameter("RATE", 0.5)' in render_app("n.ipynb", made).files["task.py"]
    assert (
        "cell 10, line 1: papermill has injected this cell; what it sets counts\n"
        "    Delete it to have the values of the cell tagged `parameters`."
    ) in warnings(tags, injected="RATE = 0.5")


MODEL = "class Model(nn.Module):\n    pass"
TRAIN = "def train(net, trainloader, valloader, epochs):\n    net.train()"
