"""What is read of a strategy's text, of which nothing runs."""

import pytest

from federator.runtime.app_config import choose
from federator.runtime.plain_strategy import NotPlainError, PlainStrategy, read

NEW = "from flwr.serverapp.strategy import FedAvg, FedProx\n"


@pytest.mark.parametrize(
    ("text", "name", "places", "names"),
    [
        (NEW + "strategy = FedAvg()", "FedAvg", (), {}),
        (NEW + "strategy = FedAvg(0.5, 1)", "FedAvg", (0.5, 1), {}),
        (NEW + "strategy = FedProx(proximal_mu=-0.1)", "FedProx", (), {"proximal_mu": -0.1}),
        (
            "import flwr as fl\nstrategy = fl.serverapp.strategy.FedAdam(eta=0.1)",
            "FedAdam", (), {"eta": 0.1},
        ),
        ("import flwr\nstrategy = flwr.serverapp.strategy.Krum()", "Krum", (), {}),
        ("from flwr.serverapp import strategy as fs\nstrategy = fs.Bulyan()", "Bulyan", (), {}),
        ("from flwr.serverapp import strategy\nstrategy = strategy.FedAvg()", "FedAvg", (), {}),
        ("import flwr.serverapp.strategy as s\nstrategy = s.QFedAvg(q=None)", "QFedAvg", (),
         {"q": None}),
        (NEW + "A = B = 2\nC, D = A, 0.5\nstrategy = FedAvg(min_train_nodes=A * B - 1,"
         " fraction_train=D / C)", "FedAvg", (), {"min_train_nodes": 3, "fraction_train": 0.25}),
        (NEW + "chosen: FedAvg = FedAvg()\nstrategy = chosen\nconfig = {'num_rounds': 3}\n"
         "config['num_rounds'] = 4", "FedAvg", (), {}),
        ('"""A docstring."""\n' + NEW + "strategy = FedAvg()\nconfig = dict(num_rounds=3)",
         "FedAvg", (), {}),
    ],
)  # fmt: skip
def test_a_plain_strategy_is_read(text, name, places, names):
    found = read(text)
    assert found is not None
    assert (found.name, found.places, found.names) == (name, places, names)


def test_a_text_without_a_strategy_has_none():
    assert read("config = {'num_rounds': 3}") is None
    assert read("from flwr.serverapp import strategy") is None


def test_a_parameter_is_that_of_the_run():
    text = (
        "from federator.runtime.app import parameter\n"
        f'{NEW}SHARE = parameter("SHARE", 0.5)\nstrategy = FedAvg(fraction_train=SHARE)'
    )
    assert read(text) == PlainStrategy("FedAvg", (), {"fraction_train": 0.5}, 4)
    choose({"parameters.SHARE": 1})
    try:
        assert read(text) == PlainStrategy("FedAvg", (), {"fraction_train": 1.0}, 4)
        choose({"parameters.SHARE": "much"})
        with pytest.raises(TypeError, match="parameter SHARE is a float"):
            read(text)
    finally:
        choose({})


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        (NEW + "strategy = FedAvg(fraction_train=schedule())", 2, "it calls `schedule`"),
        (NEW + "class Mine(FedAvg):\n    pass\nstrategy = Mine()", 2, "it defines `Mine`"),
        (NEW + "def half():\n    return 0.5", 2, "it defines `half`"),
        ("import os\n" + NEW + "strategy = FedAvg()", 1, "it imports `os`"),
        ("from mine import strategy", 1, "it imports `mine.strategy`"),
        ("from . import strategy", 1, "it imports `..strategy`"),
        ("from flwr.serverapp.strategy import *\nstrategy = FedAvg()", 1,
         "it imports `flwr.serverapp.strategy.*`"),
        (NEW + "strategy = FedAvg()\nstrategy.fraction_train = 0.5", 3,
         "it sets `strategy.fraction_train`"),
        (NEW + "strategy = FedAvg()\nprint(strategy)", 3, "it runs `print(strategy)`"),
        (NEW + "strategy = FedAvg() if True else FedProx()", 2,
         "`FedAvg() if True else FedProx()` has to be computed"),
        (NEW + "strategy = FedAvg(**{'fraction_train': 1.0})", 2,
         "`FedAvg(**{'fraction_train': 1.0})` has to be computed"),
        (NEW + "strategy = FedAvg(train_metrics_aggr_fn=lambda *_: {})", 2,
         "`lambda *_: {}` has to be computed"),
        (NEW + "strategy = FedAvg(f'{1}')", 2, "`f'{1}'` has to be computed"),
        (NEW + "strategy = FedAvg(1 / 0)", 2, "`1 / 0`: division by zero"),
        (NEW + "strategy = FedAvg(9 ** 9 ** 9)", 2, "`9 ** 9 ** 9` has to be computed"),
        (NEW + "strategy = FedAvg('a' * 9)", 2, "`'a'` is no number"),
        (NEW + "strategy = FedAvg(FedProx())", 2, "it makes a second strategy"),
        (NEW + "strategy = FedAvg", 2, "`FedAvg` has to be computed"),
        (NEW + "strategy = 3", 2, "`strategy` is no strategy"),
        (NEW + "for n in (1,):\n    strategy = FedAvg()", 2, "it runs `for n in (1,):`"),
        (NEW + "FedAvg = 1\nstrategy = FedAvg()", 3, "it calls `FedAvg`"),
        ("dict = 3\nconfig = dict()", 2, "it calls `dict`"),
        ("import flwr as fl\nstrategy = fl.server.strategy.FedAvg()", 2,
         "it calls `fl.server.strategy.FedAvg`"),
        ("strategy = (", 1, "it is no valid Python"),
        ("x = " + "+".join("1" * 2_000), 1, "it is nested too deeply"),
        ("x = " + "(" * 5_000 + "1", 1, "it is no valid Python"),
    ],
)  # fmt: skip
def test_what_would_have_to_run_is_told_with_its_line(text, line, what):
    with pytest.raises(NotPlainError) as told:
        read(text)
    assert (told.value.line, told.value.what) == (line, what)


def test_nothing_of_a_text_runs(tmp_path):
    mark = tmp_path / "mark"
    text = f"open({str(mark)!r}, 'w')\n{NEW}strategy = FedAvg()"
    with pytest.raises(NotPlainError):
        read(text)
    with pytest.raises(NotPlainError):
        read(f"{NEW}strategy = FedAvg(fraction_train=open({str(mark)!r}, 'w'))")
    assert not mark.exists()
