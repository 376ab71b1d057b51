import flwr as fl
import pytest
from fixtures.filled import filled, parts, problems, warnings

OLD = "import flwr as fl\nimport flwr.server.strategy as fs\n"


def translated(strategy):
    """Return the last statement that the strategy's cell becomes."""
    return parts(strategy=OLD + strategy).aggregation.statements[-1].source


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fl.server.strategy.FedAvg()", "fl.serverapp.strategy.FedAvg()"),
        ("fs.FedAvg(fraction_fit=0.5)", "fs.FedAvg(fraction_train=0.5)"),
        ("fs.FedAvg(fraction_eval=0.5)", "fs.FedAvg(fraction_evaluate=0.5)"),
        ("fs.FedAvg(min_fit_clients=2)", "fs.FedAvg(min_train_nodes=2)"),
        ("fs.FedAvg(min_eval_clients=2)", "fs.FedAvg(min_evaluate_nodes=2)"),
        ("fs.FedAvg(min_evaluate_clients=2)", "fs.FedAvg(min_evaluate_nodes=2)"),
        ("fs.FedAvg(min_available_clients=2)", "fs.FedAvg(min_available_nodes=2)"),
        ("fs.FedAvg(1.0, 1.0, 2, 2, 2)", "fs.FedAvg(1.0, 1.0, 2, 2, 2)"),
        ("fs.FedAvg(initial_parameters=None, inplace=True)", "fs.FedAvg()"),
        ("fs.FedAvg(evaluate_fn=None)", "fs.FedAvg()"),
        ("fs.FedAdam(eta=0.1)", "fs.FedAdam(eta=0.1, tau=1e-09)"),
        ("fs.FedAdam(tau=0.1)", "fs.FedAdam(tau=0.1)"),
        ("fs.FedYogi()", "fs.FedYogi()"),
        ("fs.Krum(num_malicious_clients=1)", "fs.Krum(num_malicious_nodes=1)"),
        (
            "fs.QFedAvg(q_param=0.5, min_fit_clients=2)",
            "fs.QFedAvg(q=0.5, min_train_nodes=2, client_learning_rate=0.1, "
            "min_evaluate_nodes=1, min_available_nodes=1)",
        ),
        ("fs.FedAvg(fraction_fit=1) or 1", "fs.FedAvg(fraction_train=1) or 1"),
    ],
)  # fmt: skip
def test_the_old_spelling_becomes_the_new_one(old, new):
    assert translated(f"strategy = {old}") == f"strategy = {new}"
    exec(f"{OLD.replace('server', 'serverapp')}strategy = {new}", {})


def test_the_imports_follow():
    for old, new in [
        ("from flwr.server.strategy import FedAvg", "from flwr.serverapp.strategy import FedAvg"),
        ("from flwr.server import strategy as fs", "from flwr.serverapp import strategy as fs"),
        ("import flwr.server.strategy as fs", "import flwr.serverapp.strategy as fs"),
        ("from flwr.server.strategy.fedavg import FedAvg",
         "from flwr.serverapp.strategy import FedAvg"),
    ]:  # fmt: skip
        call = "FedAvg()" if old.endswith("FedAvg") else "fs.FedAvg()"
        made = parts(strategy=f"{old}\nstrategy = {call}")
        assert [s.source for s in made.aggregation.statements] == [new, f"strategy = {call}"]


def test_lines_stay_where_they_are():
    strategy = (
        "# how the sites are folded\nstrategy = fs.FedAvg(  # old\n    fraction_fit=1,\n"
        "    initial_parameters=[\n        1,\n    ],\n)\nconfig = {'num_rounds': 2}"
    )
    made = parts(strategy=OLD + strategy)
    strategy, config = made.aggregation.statements[-2:]
    assert strategy.source == (
        "# how the sites are folded\nstrategy = fs.FedAvg(\n    fraction_train=1,\n)"
    )
    assert (strategy.line, config.line) == (3, 10)


def test_other_statements_of_the_line_stay():
    assert translated("n = 2; strategy = fs.FedAvg(min_fit_clients=n)") == (
        "n = 2; strategy = fs.FedAvg(min_train_nodes=n)"
    )


def test_what_only_dropped_arguments_need_stays_behind():
    made = parts(
        strategy=OLD
        + "first = fl.common.ndarrays_to_parameters([p for p in Model().parameters()])\n"
        "strategy = fs.FedAvg(initial_parameters=first)"
    )
    assert made.aggregation.imports.keys() == {"flwr"}
    assert [s.source for s in made.aggregation.statements][-1] == "strategy = fs.FedAvg()"


def test_the_warning_shows_the_new_spelling_in_full():
    assert warnings(strategy="strategy = fl.server.strategy.FedAvg(\n    fraction_fit=1,\n)")[
        0
    ] == (
        "cell 9, line 1: this is the spelling of Flower's old API; it is translated\n"
        "    Write: strategy = fl.serverapp.strategy.FedAvg(fraction_train=1)"
    )


def test_the_old_config_becomes_a_dictionary():
    made = parts(strategy=OLD + "config = fl.server.ServerConfig(num_rounds=4, round_timeout=60)")
    assert made.rounds == 4
    assert [s.source for s in made.aggregation.statements] == ["config = {'num_rounds': 4}"]
    assert "`round_timeout` is left out" in str(made.warnings)


@pytest.mark.parametrize(
    "argument",
    ["on_fit_config_fn", "on_evaluate_config_fn", "initial_parameters", "accept_failures"],
)
def test_arguments_without_counterpart_are_left_out_with_a_warning(argument):
    strategy = f"{OLD}strategy = fs.FedAvg({argument}=print)"
    told = [text for text in warnings(strategy=strategy) if argument in text]
    assert len(told) == 1
    assert f"`{argument}` is left out of the converted strategy" in told[0]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("strategy = fs.FedAvg(evaluate_fn=print)", "`evaluate_fn` does not exist in Flower's"),
        ("strategy = fs.FedAvg(eval_fn=print)", "`eval_fn` does not exist in Flower's"),
        (
            "strategy = fs.FedAvg(fit_metrics_aggregation_fn=print)",
            "`fit_metrics_aggregation_fn` does not exist in Flower's message API",
        ),
        ("strategy = fs.Krum(num_clients_to_keep=3)", "`num_clients_to_keep` does not exist"),
        ("strategy = fs.FedOpt()", "Flower has no strategy `FedOpt`"),
        (
            "class Mine(fs.FedAvg):\n    pass\nstrategy = Mine()",
            "`fs.FedAvg` belongs to Flower's old API\n    Use flwr.serverapp.strategy instead.",
        ),
        (
            "strategy = fs.FedAvg(1.0, 1.0, 2, 2, 2, print)",
            "the arguments of `FedAvg` cannot be read from the text",
        ),
        (
            "settings = {}\nstrategy = fs.FedAvg(**settings)",
            "the arguments of `FedAvg` cannot be read from the text",
        ),
    ],
)
def test_what_cannot_be_translated_is_refused(strategy, message):
    found = problems(filled(strategy=OLD + strategy))
    assert len(found) == 1
    assert found[0].split(": ", 1)[1].startswith(message)


def test_old_arguments_of_a_new_strategy_are_translated_too():
    made = parts(
        strategy="import flwr as fl\nstrategy = fl.serverapp.strategy.FedAdam(fraction_fit=1)"
    )
    assert made.aggregation.statements[-1].source == (
        "strategy = fl.serverapp.strategy.FedAdam(fraction_train=1)"
    )


def test_flower_has_the_strategies_under_the_one_import():
    assert fl.serverapp.strategy.FedAvg
