"""Strategies that run by Flower's own Strategy.start: what they see, and what becomes of it."""

import numpy as np
import pytest
from fixtures.rehearsals import events
from fixtures.strategy_sites import EXAMPLES, MODEL
from flwr.app import ArrayRecord
from flwr.serverapp import strategy as flower

from federator.errors import RunError

pytestmark = pytest.mark.usefixtures("in_a_run")


class Watchful(flower.FedAvg):
    """A strategy of the author's own that notes what it is given."""

    def __init__(self, **how):
        super().__init__(**how)
        self.seen, self.told = [], {}

    def configure_train(self, server_round, arrays, config, grid):
        self.seen.append(list(arrays))
        config["rate"] = server_round / 4
        config["weights"] = [1.0]
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round, replies):
        replies = list(replies)
        self.told[server_round] = [reply.content["metrics"]["loss"] for reply in replies]
        return super().aggregate_evaluate(server_round, replies)


def test_a_strategy_sees_parameters_and_buffers_are_averaged_beside_it(run):
    strategy = Watchful(weighted_by_key="num-examples")
    _, folder = run(strategy)
    assert strategy.seen == [["weight", "half"]] * 3
    mean = (30 * 30 + 10 * 10 + 20 * 20) / 60
    for number in (1, 2, 3):
        model = folder.load(number).weights.load()
        assert list(model) == list(MODEL)
        np.testing.assert_allclose(model["mean"], number * mean, rtol=1e-5)
        assert abs(model["seen"] - number * mean) < number
        assert (model["seen"].dtype, model["half"].dtype) == (np.int64, np.float16)


def test_its_plain_entries_reach_train_and_others_are_told_once(run, caplog):
    grid, _ = run(Watchful())
    trained = [order for _, order in grid.told if order.kind == "train"]
    assert [order.settings for order in trained] == [
        {"rate": number / 4} for number in (1, 2, 3) for _ in EXAMPLES
    ]
    assert all(order.settings == {} for _, order in grid.told if order.kind != "train")
    assert sum("weights: not handed to train" in message for message in caplog.messages) == 1


@pytest.mark.parametrize("fraction", [0.0, 0.4, 1.0])
def test_every_site_validates_every_model(run, fraction):
    """The strategy is told of those that it asked, and the journal of all."""
    strategy = Watchful(fraction_train=0.4, fraction_evaluate=fraction)
    _, folder = run(strategy)
    found = {event["round"]: event["sites"].keys() for event in events(folder.path, "validation")}
    assert found == dict.fromkeys(range(4), EXAMPLES.keys())
    asked = {0.0: 0, 0.4: 2, 1.0: 3}[fraction]
    assert [len(told) for told in strategy.told.values()] == [asked] * 3
    assert {len(event["sites"]) for event in events(folder.path, "round")} == {2}


class Forgetful(flower.FedAvg):
    """It loses a tensor."""

    def aggregate_train(self, server_round, replies):
        arrays, told = super().aggregate_train(server_round, replies)
        return ArrayRecord({name: a for name, a in arrays.items() if name != "half"}), told


def test_a_strategy_that_makes_something_else_than_the_model_is_told(run):
    with pytest.raises(RunError, match=r"Forgetful made something else .*: tensor half"):
        run(Forgetful())
