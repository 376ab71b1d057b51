"""What a statement changes through a second name, a call or a decorator, and what is told of it."""

import pytest
from fixtures.filled import parts, warnings
from fixtures.programs import program

from federator.notebook.slicing.component import component

NEEDS = "def predict(net, loader):\n    return NORM, 0"
FILL = "def fill(values, at=0):\n    mine = values\n    mine[at] = 3.0"
HOLDER = """\
class Holder:
    def __init__(self, values):
        self.values = values
    def double(self):
        self.values[0] *= 2
    def show(self):
        return str(self.values)"""


def taken(*statements, needed="NORM"):
    """Return the statements of one cell each that a function of a needed name takes in."""
    cells = ["NORM = [1.0, 2.0]", *statements, f"def f():\n    return {needed}"]
    written = program(*cells)
    return [s.source for s in component(written.closure(["f"])).statements][1:-1]


@pytest.mark.parametrize(
    "statements",
    [
        ["also = NORM", "also[1] = 3.0"],
        ["also = NORM", "also.append(1)"],
        ["also, n = NORM, 3", "also += [n]"],
        ["also = [NORM]", "also[0][1] = 3.0"],
        ["held = {}", "held['norm'] = NORM", "held['norm'][1] = 3.0"],
        ["with_it = dict(norm=NORM)", "with_it['norm'].clear()"],
        ["for one in [NORM]:\n    one[0] = 3.0"],
        ["for n, one in enumerate([NORM]):\n    one[0] = n"],
        ["if True:\n    NORM.sort()"],
        [FILL, "fill(NORM)"],
        [FILL, "fill(at=1, values=NORM)"],
        [FILL, "fill(*[NORM, 1])"],
        [FILL, "fill(**{'values': NORM})"],
        [FILL, "done = fill(NORM)"],
        [FILL, "[fill(one) for one in (NORM, NORM)]"],
        [FILL, "list(map(fill, [NORM]))"],
        [FILL, "def twice(given):\n    fill(given)\n    fill(given, 1)", "twice(NORM)"],
        ["twist = lambda given: given.reverse()", "twist(NORM)"],
        ["list(map(lambda one: one.append(1), [NORM]))"],
        ["def grow():\n    NORM.append(4)", "grow()"],
        [HOLDER, "held = Holder(NORM)", "held.double()"],
        ["import heapq", "heapq.heapify(NORM)"],
        ["import numpy as np", "np.fill_diagonal(NORM, 3)"],
        ["import numpy as np", "np.add(1, 2, out=NORM)"],
        ["list.append(NORM, 3)"],
    ],
)
def test_a_change_through_another_name_or_by_a_call_is_taken_in(statements):
    assert taken(*statements) == statements


@pytest.mark.parametrize(
    "statements",
    [
        ["also = list(NORM)", "also.append(1)"],
        ["also = NORM[:]", "print(also, len(NORM), sorted(NORM), sum(NORM))"],
        ["also = NORM", "also = [2]", "also[0] = 1"],
        ["held = {'norm': NORM}", "held['other'] = 3"],
        ["def show(values):\n    values = list(values)\n    values.append(1)", "show(NORM)"],
        [HOLDER, "held = Holder(NORM)", "held.show()"],
        ["import matplotlib.pyplot as plt", "plt.plot(NORM)", "plt.hist(x=NORM)"],
        ["import numpy as np", "average = np.mean(NORM)", "np.asarray(NORM).mean()"],
        ["display(NORM)", "isinstance(NORM, list)", "max(NORM), min(NORM), repr(NORM)"],
        ["def seed_all(values):\n    values[0] = 1", "seed_all(NORM)"],
    ],
)
def test_what_changes_nothing_stays_behind_in_silence(statements):
    assert taken(*statements) == []
    told = warnings(mine="NORM = [1.0, 2.0]", **dict(zip("abcd", statements, strict=False)))
    assert [text for text in told if "stays behind" in text] == []


def test_a_value_that_cannot_change_is_not_followed():
    told = "n = 3", "m = n", "m += 1", "import other", "other.go(n)"
    assert taken(*told, needed="NORM, n") == ["n = 3"]


def test_a_name_that_is_bound_to_itself_is_read_to_an_end():
    told = "n = 3", "n = n + 1", "m = n", "n = m", "import other", "other.go(n)"
    assert taken(*told, needed="NORM, n") == list(told[:4])


def test_a_call_of_the_contracts_own_functions_is_no_change():
    train = "def train(net, values):\n    values[0] = 1"
    assert taken(train, "history = train(1, NORM)", needed="NORM, train") == [train]


@pytest.mark.parametrize(
    ("statement", "line"),
    [
        ("import random\nrandom.shuffle(NORM)", 2),
        ("import random\n_ = random.shuffle(NORM)", 2),
        ("import random\nfor one in [NORM]:\n    random.shuffle(one)", 3),
        ("from torch import nn\nwith open('/dev/null'):\n    nn.init.xavier_uniform_(NORM)", 3),
        ("import somewhere\nsomewhere.scale(NORM)", 2),
        ("import somewhere\nsomewhere.scale(to=[NORM])", 2),
        ("import somewhere\nsomewhere.scale(*NORM)", 2),
        ("import somewhere\nlist(map(somewhere.scale_, [NORM]))", 2),
        ("NORM.rescale()", 1),
        ("also = NORM\nalso.rescale()", 2),
        ("fitted = NORM.fit([1])", 1),
        ("def outer(given):\n    import somewhere\n    somewhere.scale(given)\nouter(NORM)", 4),
    ],
)
def test_a_call_that_may_change_what_goes_in_is_told_with_its_line(statement, line):
    told = warnings(norm="NORM = [1.0, 2.0]", needs=NEEDS, mine=statement)
    expected = f"cell 12, line {line}: this call stays behind, though `NORM` goes in"
    assert [text.split("\n")[0] for text in told] == [expected]


def test_a_change_that_would_train_or_read_data_stays_behind_and_is_told():
    told = warnings(
        norm="NORM = [1.0, 2.0]",
        needs=NEEDS,
        fill=FILL,
        run="for n in range(3):\n    fill(NORM, len(load_data('data')))",
    )
    assert [text.split("\n")[0] for text in told] == [
        "cell 13, line 1: this statement changes `NORM`, which goes in, and stays behind"
    ]


@pytest.mark.parametrize(
    "statements",
    [
        [
            "def add_to_class(cls):\n    def wrapper(obj):\n        "
            "setattr(cls, obj.__name__, obj)\n    return wrapper",
            "@add_to_class(Net)\ndef forward(self, x):\n    return x",
        ],
        ["from fastcore.all import patch", "@patch\ndef forward(self: Net, x):\n    return x"],
        [
            "from fastcore.all import patch_to",
            "@patch_to(Net)\ndef forward(self, x):\n    return x",
        ],
        ["def forward(self, x):\n    return x", "Net.forward = forward"],
        ["def forward(self, x):\n    return x", "setattr(Net, 'forward', forward)"],
    ],
)
def test_a_definition_that_is_patched_into_a_class_goes_in(statements):
    assert taken("class Net:\n    pass", *statements, needed="NORM, Net")[1:] == statements


@pytest.mark.parametrize(
    "statements",
    [
        [
            "REGISTRY = {}",
            "def register(name):\n    def add(f):\n        REGISTRY[name] = f\n        "
            "return f\n    return add",
            "@register('ce')\ndef ce_loss(x):\n    return x",
        ],
        [
            "REGISTRY = {}",
            "def register(f):\n    REGISTRY[f.__name__] = f\n    return f",
            "@register\ndef ce_loss(x):\n    return x",
        ],
        ["REGISTRY = Registry()", "@REGISTRY.register('ce')\nclass Loss:\n    pass"],
        ["REGISTRY = {}", "def ce_loss(x):\n    return x", "REGISTRY['ce'] = ce_loss"],
    ],
)
def test_a_definition_that_is_registered_goes_in_with_the_registry(statements):
    assert taken(*statements, needed="REGISTRY, NORM") == statements


def test_other_decorators_take_nothing_in():
    wraps = "import functools\n@functools.wraps(f)\ndef g():\n    pass"
    assert taken(wraps) == []
    assert parts(extra="@torch.no_grad()\ndef other():\n    pass").task.statements[-1].cell == 8
