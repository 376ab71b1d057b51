import inspect

import flwr as fl
import pytest
from fixtures.filled import filled, parts, problems, warnings

from federator.notebook.strategy import STRATEGIES

NEW = "import flwr as fl\nfrom flwr.serverapp import strategy as fs\n"


def test_the_list_of_strategies_is_flowers():
    theirs = fl.serverapp.strategy
    made = {name for name in theirs.__all__ if issubclass(getattr(theirs, name), theirs.Strategy)}
    for_trees = {"FedXgbBagging", "FedXgbCyclic"}
    private = {name for name in made if name.startswith("DifferentialPrivacy")}
    assert made - {"Strategy"} - for_trees - private == STRATEGIES


def test_the_first_arguments_are_flowers():
    arguments = list(inspect.signature(fl.serverapp.strategy.FedAvg).parameters)
    assert arguments[:5] == [
        "fraction_train",
        "fraction_evaluate",
        "min_train_nodes",
        "min_evaluate_nodes",
        "min_available_nodes",
    ]


@pytest.mark.parametrize(
    ("strategy", "name"),
    [
        ("strategy = fl.serverapp.strategy.FedAdam()", "FedAdam"),
        ("from flwr.serverapp.strategy import FedYogi\nstrategy = FedYogi()", "FedYogi"),
        ("from flwr.serverapp.strategy import Krum as K\nstrategy = K()", "Krum"),
        ("chosen = fs.FedMedian()\nstrategy = chosen", "FedMedian"),
        ("strategy: fs.Strategy = fs.FedAvgM()", "FedAvgM"),
        ("class Mine(fs.FedAvg):\n    pass\nstrategy = Mine()", "Mine"),
        ("settings = {}\nstrategy = fs.FedAvg(**settings)", "FedAvg"),
        ("strategy = fs.FedAvg()\nstrategy.min_train_nodes = 3", "FedAvg"),
    ],
)
def test_the_class_is_read_from_the_text(strategy, name):
    made = parts(strategy=NEW + strategy)
    assert made.strategy == name
    assert not [w for w in made.warnings if w.where.cell == 9]


@pytest.mark.parametrize(
    ("config", "rounds"),
    [
        ("config = {'num_rounds': 5}", 5),
        ("config = dict(num_rounds=5)", 5),
        ("N = 5\nconfig = {'num_rounds': N}", 5),
        ("config = {}\nconfig['num_rounds'] = 5", 5),
        ("config = {'num_rounds': 2}\nconfig['num_rounds'] = 5", 5),
        ("config = {'num_rounds': 2 + 3}", None),
        ("config = {}", None),
    ],
)
def test_rounds_are_read_where_they_are_a_number(config, rounds):
    assert parts(strategy=config).rounds == rounds


PROXIMAL_TRAIN = "def train(net, trainloader, valloader, epochs, proximal_mu=0.0):\n    print(net)"


def test_a_proximal_strategy_needs_a_train_that_takes_it():
    strategy = NEW + "strategy = fs.FedProx(proximal_mu=0.1)"
    assert problems(filled(strategy=strategy)) == [
        "cell 7, line 1: `train` takes no `proximal_mu`, so FedProx would be FedAvg\n    Write: "
        "def train(net, trainloader, valloader, epochs, proximal_mu=0.0): ..."
    ]
    mine = NEW + "class Mine(fs.FedProx):\n    pass\nstrategy = Mine()"
    assert len(problems(filled(strategy=mine))) == 1
    assert parts(strategy=strategy, train=PROXIMAL_TRAIN).strategy == "FedProx"
    anything = PROXIMAL_TRAIN.replace("proximal_mu=0.0", "**settings")
    assert parts(strategy=strategy, train=anything).strategy == "FedProx"


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            "strategy = fs.FedFoo()",
            "cell 9, line 3: Flower has no strategy `FedFoo` for models with weights\n"
            "    Available in flwr.serverapp.strategy: Bulyan, ",
        ),
        (
            "strategy = FedAvg()",
            "cell 9, line 3: `FedAvg` is not defined, and `strategy` needs it\n"
            "    Import it: from flwr.serverapp.strategy import FedAvg",
        ),
        (
            "strategy = fs.FedAvg",
            "cell 9, line 3: `strategy` is the class FedAvg, not a strategy made from it\n"
            "    Write FedAvg().",
        ),
        ("strategy = 'FedAvg'", "cell 9, line 3: `strategy` is not one of Flower's strategies"),
        ("def strategy():\n    pass", "cell 9, line 3: `strategy` is not one of Flower's"),
        (
            "strategy = fs.FedAvg(fraction_train=50)",
            "cell 9, line 3: `fraction_train` is 50; a fraction of the sites is between 0 and 1",
        ),
        (
            "strategy = fs.FedAvg(1.0, -0.5)",
            "cell 9, line 3: `fraction_evaluate` is -0.5; a fraction of the sites is between",
        ),
        ("strategy = fs.FedAvg(min_train_nodes=-1)", "cell 9, line 3: `min_train_nodes` is -1"),
    ],
)
def test_a_strategy_that_cannot_work_is_refused(strategy, message):
    found = problems(filled(strategy=NEW + strategy))
    assert len(found) == 1
    assert found[0].startswith(message)


def test_contradictory_numbers_are_told():
    strategy = "strategy = fs.FedAvg(min_evaluate_nodes=4, min_available_nodes=3)"
    assert warnings(strategy=NEW + strategy) == [
        "cell 9, line 3: `min_evaluate_nodes` is 4, but `min_available_nodes` only 3\n"
        "    How many sites a round needs is min_sites: in the federation file."
    ]


@pytest.mark.parametrize(
    "strategy",
    [
        "strategy = fs.DifferentialPrivacyServerSideFixedClipping(fs.FedAvg(), 0.1, 1.0, 3)",
        "strategy = fs.DifferentialPrivacyServerSideAdaptiveClipping(fs.FedAvg(), 0.1, 3)",
        "strategy = fs.DifferentialPrivacyClientSideFixedClipping(fs.FedAvg(), 0.1, 1.0, 3)",
        "class Mine(fs.DifferentialPrivacyServerSideFixedClipping): pass\nstrategy = Mine(1)",
    ],
)
def test_flowers_differential_privacy_is_refused_with_the_reason(strategy):
    [told] = problems(filled(strategy=NEW + strategy))
    assert told.startswith("cell 9, line 3: `DifferentialPrivacy")
    assert (
        "would protect less than it says: its noise is made for a mean in which all sites" in told
    )
    assert "Opacus" in told


CONFIGURES = """\
class Mine(fs.FedAvg):
    def configure_train(self, server_round, arrays, config, grid):
        {}
        return super().configure_train(server_round, arrays, config, grid)
strategy = Mine()"""
UNHEARD = "which `configure_train` sends, reaches no site: `train` takes none"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("config['lr'] = 0.1", [f"cell 9, line 4: `lr`, {UNHEARD}"]),
        (
            "config.update({'lr': 1, 'mu': 2})",
            [f"cell 9, line 4: `{n}`, {UNHEARD}" for n in ("lr", "mu")],
        ),
        ("config = ConfigRecord({'lr': 0.1})", [f"cell 9, line 4: `lr`, {UNHEARD}"]),
        ("config[str(server_round)] = 1", ["cell 9, line 4: what `configure_train` writes into"]),
        ("config['rate'] = 0.1", []),
        ("config['server-round'] = server_round", []),
        ("print(config)", []),
    ],
)
def test_what_a_strategy_sends_and_train_does_not_take_is_told(written, told):
    strategy = "import flwr.serverapp.strategy as fs; from flwr.app import ConfigRecord\n"
    strategy += CONFIGURES.format(written)
    train = PROXIMAL_TRAIN.replace("proximal_mu", "rate")
    found = warnings(strategy=strategy, train=train)
    assert len(found) == len(told)
    assert all(map(str.startswith, found, told))
