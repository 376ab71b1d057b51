"""Aggregation gives what Flower's strategies give, over five rounds, and keeps integer types."""

import tracemalloc
from unittest.mock import Mock

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower

from federator.runtime.server.aggregation import blockwise, geometry
from federator.runtime.server.aggregation.blockwise import is_plain
from federator.runtime.server.aggregation.geometry import Measurement, measure
from federator.runtime.server.aggregation.robust import Robust, Weighting, weigh
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save
from federator.runtime.weights.parts import hash_file

STRATEGIES = {
    "FedAvg": lambda: flower.FedAvg(),
    "FedProx": lambda: flower.FedProx(proximal_mu=0.1),
    "FedAvgM": lambda: flower.FedAvgM(server_learning_rate=0.7, server_momentum=0.9),
    "FedAdam": lambda: flower.FedAdam(eta=0.05),
    "FedYogi": lambda: flower.FedYogi(eta=0.05),
    "FedAdagrad": lambda: flower.FedAdagrad(eta=0.05),
    "FedMedian": lambda: flower.FedMedian(),
    "FedTrimmedAvg": lambda: flower.FedTrimmedAvg(beta=0.25),
    "Krum": lambda: flower.Krum(num_malicious_nodes=1),
    "MultiKrum": lambda: flower.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2),
}
EXAMPLES = [120, 40, 75, 200]

pytestmark = pytest.mark.usefixtures("in_a_run")


class Nodes:
    """A grid of as many nodes as there are updates."""

    def get_node_ids(self):
        return range(1, len(EXAMPLES) + 1)


class Aggregation:
    """A strategy's fold, from arrays to arrays over files.

    Attributes:
        geometry: of the last updates, measured while they were aggregated and on their own.
    """

    def __init__(self, strategy, root, state=None, buffers=()):
        self.strategy, self.root, self.state, self.buffers = strategy, root, state, buffers

    def aggregate(self, number, model, updates, examples):
        folder = RunFolder(self.root)
        for name, weights in [("model", model), *((f"u{i}", u) for i, u in enumerate(updates))]:
            save(self.root / name, weights)
        files = [WeightFile(self.root / f"u{i}") for i in range(len(updates))]
        before = Checkpoint(number - 1, WeightFile(self.root / "model"), self.state)
        geometry = measure(before.weights, files, self.buffers)
        weighting = weigh(self.strategy, Robust(), geometry, examples)
        measurement = Measurement(len(files), self.buffers)
        made = blockwise.aggregate(
            self.strategy, number, before, files, weighting, folder, self.buffers,
            measurement=measurement,
        )  # fmt: skip
        self.state, self.geometry = made.state, (measurement.geometry(), geometry)
        return made.weights.load()


@pytest.fixture(params=[11, 2**18])
def block(request, monkeypatch):
    """How many numbers are folded at a time: fewer than a tensor has, or more."""
    monkeypatch.setattr(geometry, "BLOCK", request.param)
    monkeypatch.setattr(geometry, "AT_ONCE", 8 * request.param)


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


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", STRATEGIES)
def test_what_is_measured_on_the_way_is_what_measuring_alone_tells(name, tmp_path):
    rng = np.random.default_rng(1)
    model = model_of(rng) | {"count": np.asarray(3, np.int64)}
    updates = [model_of(rng) | {"count": np.asarray(9, np.int64)} for _ in EXAMPLES]
    aggregation = Aggregation(STRATEGIES[name](), tmp_path, buffers={"bias", "count"})
    aggregation.aggregate(1, model, updates, EXAMPLES)
    found, alone = aggregation.geometry
    assert (found.norms > 1).all()
    np.testing.assert_allclose(found.parameters, alone.parameters, rtol=1e-5)
    np.testing.assert_allclose(found.buffers, alone.buffers, rtol=1e-5)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", STRATEGIES)
def test_five_rounds_equal_those_of_flowers_own_class(name, tmp_path):
    rng = np.random.default_rng(1)
    ours = theirs = model_of(rng)
    strategy, blocks = STRATEGIES[name](), Aggregation(STRATEGIES[name](), tmp_path)
    for number in range(1, 6):
        steps = [{k: rng.normal(scale=0.1, size=v.shape) for k, v in ours.items()}
                 for _ in EXAMPLES]  # fmt: skip
        ours = blocks.aggregate(number, ours, moved(ours, steps), EXAMPLES)
        theirs = flower_fold(strategy, number, theirs, moved(theirs, steps))
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=2e-5, atol=2e-6)
            assert ours[key].dtype == np.float32
            assert ours[key].shape == theirs[key].shape


def moved(model, steps):
    return [{k: np.asarray(v + step[k], np.float32) for k, v in model.items()} for step in steps]


@pytest.mark.parametrize("name", STRATEGIES)
def test_integer_tensors_keep_their_type(name, tmp_path):
    model = {"seen": np.array(10, np.int64), "flag": np.array([True, False])}
    updates = [{"seen": np.array(20 + i), "flag": np.array([True, False])} for i in range(4)]
    folded = Aggregation(STRATEGIES[name](), tmp_path).aggregate(1, model, updates, [1, 1, 1, 1])
    assert folded["seen"].dtype == np.int64
    assert 20 <= folded["seen"] <= 23
    assert folded["flag"].tolist() == [True, False]


BATCHNORM = ("running_mean", "running_var", "num_batches_tracked")
# Those that moved a variance below 0 when the server's step was taken for buffers, too.
EAGER = {
    "FedAvgM": lambda: flower.FedAvgM(server_learning_rate=2.0, server_momentum=0.9),
    "FedAdam": lambda: flower.FedAdam(),
    "FedYogi": lambda: flower.FedYogi(eta=0.1),
    "FedAdagrad": lambda: flower.FedAdagrad(eta=1.5),
}


def after_batches(model, variance, batches):
    """Train a model's only weight a little; its statistics as four batches of BatchNorm do."""
    found = {"weight": model["weight"] + np.float32(0.01)}
    for name, seen in (("running_mean", 0.5), ("running_var", variance)):
        value = model[name].astype(np.float64)
        for _ in range(batches):
            value = 0.9 * value + 0.1 * seen
        found[name] = value.astype(np.float32)
    return found | {"num_batches_tracked": model["num_batches_tracked"] + batches}


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - {"Krum", "MultiKrum"}))
def test_buffers_are_the_weighted_mean_in_each_of_thirty_rounds(name, tmp_path):
    """BatchNorm's statistics, whose variance shrinks from 1 to that of small inputs."""
    model = {
        "weight": np.zeros(4, np.float32),
        "running_mean": np.zeros(4, np.float32),
        "running_var": np.ones(4, np.float32),
        "num_batches_tracked": np.array(0),
    }
    aggregation = Aggregation((STRATEGIES | EAGER)[name](), tmp_path, buffers=BATCHNORM)
    weights = np.array(EXAMPLES) / sum(EXAMPLES)
    for number in range(1, 31):
        updates = [
            after_batches(model, 0.05 * (1 + site), 4 + site) for site in range(len(EXAMPLES))
        ]
        model = aggregation.aggregate(number, model, updates, EXAMPLES)
        for buffer in BATCHNORM[:2]:
            mean = np.average([u[buffer] for u in updates], axis=0, weights=weights)
            np.testing.assert_allclose(model[buffer], mean, rtol=1e-6)
        counted = np.average([u["num_batches_tracked"] for u in updates], weights=weights)
        assert model["num_batches_tracked"] == np.rint(counted)
        assert model["num_batches_tracked"].dtype == np.int64
        assert (model["running_var"] > 0).all()
    assert aggregation.state is None or list(aggregation.state.tensors) in (
        ["m/weight"],
        ["m/weight", "v/weight"],
    )


def test_with_krum_buffers_are_those_of_the_sites_that_it_took(tmp_path):
    model = {"weight": np.zeros(4, np.float32), "running_mean": np.zeros(4, np.float32)}
    updates = [
        {"weight": np.full(4, step, np.float32), "running_mean": np.full(4, site, np.float32)}
        for site, step in enumerate([1.0, 1.1, 0.9, 50.0])
    ]
    strategy = flower.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=2)
    found = Aggregation(strategy, tmp_path, buffers=BATCHNORM).aggregate(1, model, updates, [1] * 4)
    assert found["weight"].max() < 1.2
    assert found["running_mean"].max() <= 1.5, "site 3 has no part in it"


@pytest.mark.parametrize("name", EAGER)
def test_a_step_for_parameters_would_make_a_variance_negative(name, tmp_path):
    """Else the test above could not fail."""
    model = {"weight": np.zeros(4, np.float32), "running_var": np.ones(4, np.float32)}
    aggregation, number = Aggregation(EAGER[name](), tmp_path), 0
    while model["running_var"].min() >= 0:
        number += 1
        assert number <= 30
        full = {**model, "running_mean": model["weight"], "num_batches_tracked": np.array(0)}
        update = after_batches(full, 0.05, 4)
        model = aggregation.aggregate(number, model, [{n: update[n] for n in model}] * 2, [1, 1])


@pytest.mark.parametrize("name", ["FedAvgM", "FedAdam", "FedYogi", "FedAdagrad"])
def test_a_fold_goes_on_from_its_saved_state(name, tmp_path):
    rng = np.random.default_rng(2)
    model = model_of(rng)
    steps = [[{k: rng.normal(size=v.shape) for k, v in model.items()} for _ in EXAMPLES]
             for _ in range(2)]  # fmt: skip
    through = Aggregation(STRATEGIES[name](), tmp_path / "through")
    first = through.aggregate(1, model, moved(model, steps[0]), EXAMPLES)
    resumed = Aggregation(STRATEGIES[name](), tmp_path / "resumed", through.state)
    expected = through.aggregate(2, first, moved(first, steps[1]), EXAMPLES)
    found = resumed.aggregate(2, first, moved(first, steps[1]), EXAMPLES)
    for key in expected:
        np.testing.assert_array_equal(found[key], expected[key])


@pytest.mark.usefixtures("block")
def test_the_same_updates_give_the_same_bytes(tmp_path):
    rng = np.random.default_rng(3)
    model = model_of(rng)
    updates = [model_of(rng) for _ in EXAMPLES]
    for name in ("one", "two"):
        Aggregation(flower.FedAdam(), tmp_path / name).aggregate(1, model, updates, EXAMPLES)
    for file in ("round-001.safetensors", "round-001.state.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


@pytest.fixture
def peak(tmp_path):
    """Aggregate equal updates; return the most bytes that numpy had allocated."""

    def made(name, size, sites, measurement=None):
        for file in ("model", "update"):
            save(tmp_path / file, {"a": np.ones(size, np.float32)})
        before = Checkpoint(0, WeightFile(tmp_path / "model"))
        updates = [WeightFile(tmp_path / "update")] * sites
        tracemalloc.start()
        folder = RunFolder(tmp_path)
        weighting = Weighting.of([1 / sites] * sites)
        blockwise.aggregate(
            STRATEGIES[name](), 1, before, updates, weighting, folder, (), measurement=measurement
        )
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    return made


@pytest.mark.parametrize("name", ["FedAdam", "FedMedian"])
def test_memory_depends_neither_on_the_model_nor_on_the_number_of_sites(name, peak):
    """Of what numpy allocates, for models of 16 and 64 MB, and for four and sixteen sites."""
    least = peak(name, 2**22, 4)
    assert peak(name, 2**24, 4) < 1.5 * least
    # Where numbers are sorted, those of all sites are in memory, of fewer blocks at a time.
    assert peak(name, 2**22, 16) < (1.5 if name == "FedAdam" else 5) * least


def test_memory_does_not_depend_on_the_number_of_sites_that_are_measured(peak):
    """Their numbers are in memory together, but of shorter blocks the more sites there are."""
    few, many = (peak("FedAvg", 2**20, sites, Measurement(sites, ())) for sites in (32, 128))
    assert many < 1.5 * few


def test_a_round_that_breaks_off_leaves_no_checkpoint(tmp_path):
    save(tmp_path / "update", {"b": np.ones(3, np.float32)})
    save(tmp_path / "model", {"a": np.ones(3, np.float32)})
    model, update = (WeightFile(tmp_path / name) for name in ("model", "update"))
    with pytest.raises(KeyError):
        before, folder = Checkpoint(0, model), RunFolder(tmp_path)
        blockwise.aggregate(flower.FedAdam(), 1, before, [update], Weighting.of([1]), folder, ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "update"]


@pytest.fixture
def fold_of_one(tmp_path):
    """Fold a small update in a folder of its own."""
    for name in ("model", "update"):
        save(tmp_path / name, {"a": np.ones(300_000, np.float32)})
    model, update = (WeightFile(tmp_path / name) for name in ("model", "update"))
    folder = RunFolder(tmp_path / "run")
    before = Checkpoint(0, model)
    return lambda **how: blockwise.aggregate(
        flower.FedAvg(), 1, before, [update], Weighting.of([1]), folder, (), **how
    )


def test_the_next_model_comes_with_the_table_of_its_parts(fold_of_one, tmp_path):
    assert fold_of_one().weights.parts == hash_file(tmp_path / "run" / "round-001.safetensors")


def test_a_model_that_travels_otherwise_is_not_hashed(fold_of_one):
    assert fold_of_one(hashed=False).weights.parts == ()


def test_a_disk_that_does_not_take_the_model_leaves_no_checkpoint(
    fold_of_one, tmp_path, monkeypatch
):
    """The kernel says so once: who asks first must not keep it to himself."""
    failed = Mock(side_effect=OSError("no space left on device"))
    monkeypatch.setattr("os.fdatasync", failed)
    with pytest.raises(OSError, match="no space"):
        fold_of_one()
    failed.assert_called_once()
    assert list((tmp_path / "run").iterdir()) == []


class OfMyOwn(flower.FedAvg):
    """A subclass may do anything: it is not plain."""


@pytest.mark.parametrize(
    ("strategy", "plain"),
    [
        (flower.FedAvg(), True),
        (flower.FedAvg(fraction_train=0.5, min_available_nodes=5), True),
        (OfMyOwn(), False),
        (flower.Krum(), True),
        (flower.Bulyan(), False),
        (flower.FedAvg(weighted_by_key="num-batches"), False),
        (flower.FedAvg(train_metrics_aggr_fn=lambda *_: MetricRecord()), False),
    ],
)
def test_only_plain_strategies_with_ordinary_arguments_fold_here(strategy, plain):
    assert is_plain(strategy) is plain
