"""Folding gives what Flower's own strategies give, over five rounds, and keeps integer types."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from flwr.supercore.task_identity import TaskIdentity

from federator.runtime.folding import Folding, is_plain

STRATEGIES = {
    "FedAvg": lambda: flower.FedAvg(),
    "FedProx": lambda: flower.FedProx(proximal_mu=0.1),
    "FedAvgM": lambda: flower.FedAvgM(server_learning_rate=0.7, server_momentum=0.9),
    "FedAdam": lambda: flower.FedAdam(eta=0.05),
    "FedYogi": lambda: flower.FedYogi(eta=0.05),
    "FedAdagrad": lambda: flower.FedAdagrad(eta=0.05),
    "FedMedian": lambda: flower.FedMedian(),
    "FedTrimmedAvg": lambda: flower.FedTrimmedAvg(beta=0.25),
}
EXAMPLES = [120, 40, 75, 200]


class Nodes:
    """A grid of as many nodes as there are updates."""

    def get_node_ids(self):
        return range(1, len(EXAMPLES) + 1)


@pytest.fixture(autouse=True)
def server():
    """Messages are made by a ServerApp, which knows its run."""
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1


def record(weights):
    return ArrayRecord({name: Array(array) for name, array in weights.items()})


def flower_fold(strategy, number, model, updates):
    """Aggregate as a ServerApp would: configure, then aggregate the replies."""
    sent = strategy.configure_train(number, record(model), ConfigRecord(), Nodes())
    replies = [
        Message(
            RecordDict({"arrays": record(u), "metrics": MetricRecord({"num-examples": n})}),
            reply_to=message,
        )
        for message, u, n in zip(sent, updates, EXAMPLES, strict=True)
    ]
    arrays, _ = strategy.aggregate_train(number, replies)
    return {name: array.numpy() for name, array in arrays.items()}


def model_of(rng):
    return {
        "weight": rng.normal(size=(16, 8)).astype(np.float32),
        "bias": rng.normal(size=8).astype(np.float32),
        "scalar": np.asarray(rng.normal(), np.float32),
    }


@pytest.mark.parametrize("name", STRATEGIES)
def test_five_rounds_equal_those_of_flowers_own_class(name):
    rng = np.random.default_rng(1)
    ours = theirs = model_of(rng)
    strategy, folding = STRATEGIES[name](), Folding(STRATEGIES[name]())
    for number in range(1, 6):
        steps = [{k: rng.normal(scale=0.1, size=v.shape) for k, v in ours.items()}
                 for _ in EXAMPLES]  # fmt: skip
        ours = folding.fold(number, ours, moved(ours, steps), EXAMPLES)
        theirs = flower_fold(strategy, number, theirs, moved(theirs, steps))
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=2e-5, atol=2e-6)
            assert ours[key].dtype == np.float32
            assert ours[key].shape == theirs[key].shape


def moved(model, steps):
    return [{k: np.asarray(v + step[k], np.float32) for k, v in model.items()} for step in steps]


@pytest.mark.parametrize("name", STRATEGIES)
def test_integer_tensors_keep_their_type(name):
    model = {"seen": np.array(10, np.int64), "flag": np.array([True, False])}
    updates = [{"seen": np.array(20 + i), "flag": np.array([True, False])} for i in range(4)]
    folded = Folding(STRATEGIES[name]()).fold(1, model, updates, [1, 1, 1, 1])
    assert folded["seen"].dtype == np.int64
    assert 20 <= folded["seen"] <= 23
    assert folded["flag"].tolist() == [True, False]


@pytest.mark.parametrize("name", ["FedAvgM", "FedAdam", "FedYogi", "FedAdagrad"])
def test_a_fold_goes_on_from_its_saved_state(name):
    rng = np.random.default_rng(2)
    model = model_of(rng)
    steps = [[{k: rng.normal(size=v.shape) for k, v in model.items()} for _ in EXAMPLES]
             for _ in range(2)]  # fmt: skip
    through = Folding(STRATEGIES[name]())
    first = through.fold(1, model, moved(model, steps[0]), EXAMPLES)
    resumed = Folding(STRATEGIES[name](), dict(through.state))
    expected = through.fold(2, first, moved(first, steps[1]), EXAMPLES)
    found = resumed.fold(2, first, moved(first, steps[1]), EXAMPLES)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


def test_the_same_updates_give_the_same_bytes():
    rng = np.random.default_rng(3)
    model = model_of(rng)
    updates = [model_of(rng) for _ in EXAMPLES]
    folded = [Folding(flower.FedAvg()).fold(1, model, updates, EXAMPLES) for _ in range(2)]
    assert all(folded[0][k].tobytes() == folded[1][k].tobytes() for k in model)


class OfMyOwn(flower.FedAvg):
    """A subclass may do anything: it is not plain."""


@pytest.mark.parametrize(
    ("strategy", "plain"),
    [
        (flower.FedAvg(), True),
        (flower.FedAvg(fraction_train=0.5, min_available_nodes=5), True),
        (OfMyOwn(), False),
        (flower.Krum(), False),
        (flower.FedAvg(weighted_by_key="num-batches"), False),
        (flower.FedAvg(train_metrics_aggr_fn=lambda *_: MetricRecord()), False),
    ],
)
def test_only_plain_strategies_with_ordinary_arguments_fold_here(strategy, plain):
    assert is_plain(strategy) is plain
