"""Bounds on what one site can do: norms are clipped, shares are capped, Krum takes the closest."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower
from flwr.serverapp.strategy.multikrum import select_multikrum

from federator.errors import RunError
from federator.runtime.plain_strategy import BY_FLOWER, STRATEGIES
from federator.runtime.server.aggregation.blockwise import aggregate, is_plain
from federator.runtime.server.aggregation.geometry import Geometry, measure
from federator.runtime.server.aggregation.robust import Robust, capped, closest, weigh
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save


def geometry(*ways, buffers=None):
    ways = np.array(ways, float)
    moved = np.zeros_like(ways) if buffers is None else np.array(buffers, float)
    return Geometry(ways @ ways.T, moved @ moved.T)


@pytest.mark.parametrize(
    ("shares", "most", "expected"),
    [
        ([0.2, 0.3, 0.5], 0.5, [0.2, 0.3, 0.5]),
        ([0.1, 0.1, 0.8], 0.4, [0.3, 0.3, 0.4]),
        ([0.05, 0.25, 0.7], 0.4, [0.2, 0.4, 0.4]),
        ([0.9, 0.1], 0.4, [0.5, 0.5]),
        ([1.0, 0.0, 0.0], 0.5, [1.0, 0.0, 0.0]),
        ([0.0, 0.5, 0.5], 0.5, [0.0, 0.5, 0.5]),
    ],
)
def test_what_is_cut_off_a_share_goes_to_the_others(shares, most, expected):
    found = capped(shares, most)
    assert found == pytest.approx(expected)
    assert sum(found) == pytest.approx(1)


def test_no_share_is_above_the_largest_whatever_the_sizes():
    rng = np.random.default_rng(2)
    for _ in range(300):
        count = int(rng.integers(2, 12))
        shares = rng.dirichlet(np.full(count, 0.2))
        most = float(rng.uniform(1 / count, 1))
        found = capped(shares.tolist(), most)
        assert max(found) <= most + 1e-9 and sum(found) == pytest.approx(1)
        order = np.argsort(shares)
        assert np.all(np.diff(np.array(found)[order]) >= -1e-9), "the larger keeps more"


def test_a_long_change_is_shortened_to_a_multiple_of_the_median_norm():
    ways = [[1.0, 0.0], [0.0, 2.0], [30.0, 40.0]]
    weighting = weigh(flower.FedAvg(), Robust(norm_bound=1.5), geometry(*ways), [1, 1, 1])
    assert weighting.scales == pytest.approx([1, 1, 3 / 50])
    assert weighting.buffer_scales == (1.0, 1.0, 1.0)
    assert weigh(flower.FedAvg(), Robust(), geometry(*ways), [1, 1, 1]).scales == (1.0,) * 3


def test_where_most_sites_change_nothing_nothing_is_shortened():
    found = weigh(flower.FedAvg(), Robust(norm_bound=1), geometry([0.0], [0.0], [3.0]), [1, 1, 1])
    assert found.scales == (1.0, 1.0, 1.0)


def test_the_model_moves_by_no_more_than_the_bound_and_buffers_are_bounded_too(tmp_path):
    """Of a site that sends 1e30 in each tensor, the model gets its share of a bounded change."""
    rng = np.random.default_rng(3)
    old = {"weight": np.ones((4, 3), np.float32), "mean": np.zeros(3, np.float32),
           "count": np.array(7)}  # fmt: skip
    updates = [
        {
            "weight": old["weight"] + rng.normal(size=(4, 3)).astype(np.float32),
            "mean": rng.normal(size=3).astype(np.float32),
            "count": np.array(9),
        }
        for _ in range(4)
    ]
    updates.append({n: np.full_like(v, 9) if n == "count" else v + np.float32(1e30)
                    for n, v in old.items()})  # fmt: skip
    for number, model in enumerate([old, *updates]):
        save(tmp_path / str(number), model)
    before, *files = (WeightFile(tmp_path / str(number)) for number in range(6))
    strategy, found = flower.FedAvg(), measure(before, files, {"mean"})
    weighting = weigh(strategy, Robust(norm_bound=2), found, [1] * 5)
    folder = RunFolder(tmp_path / "run")
    made = aggregate(strategy, 1, Checkpoint(0, before), files, weighting, folder, {"mean"})
    model = made.weights.load()
    assert model["count"] == 9
    for name, products in (("weight", found.parameters), ("mean", found.buffers)):
        longest = 2 * np.median(np.sqrt(np.diag(products)))
        assert np.linalg.norm(model[name] - old[name]) <= longest


@pytest.mark.parametrize("malicious", [0, 1, 2, 3])
@pytest.mark.parametrize("most", [1, 3])
def test_krum_chooses_as_flower_does(malicious, most):
    rng = np.random.default_rng(malicious)
    for _ in range(20):
        ways = rng.normal(size=(7, 12)) * rng.uniform(1, 5, size=(7, 1))
        contents = [
            RecordDict({"arrays": ArrayRecord({"a": Array(way)}), "n": MetricRecord({"place": n})})
            for n, way in enumerate(ways)
        ]
        theirs = [int(one["n"]["place"]) for one in select_multikrum(contents, malicious, most)]
        assert closest(geometry(*ways), malicious, most) == theirs


def test_sites_that_krum_leaves_out_have_no_share():
    ways = [[1.0, 0.0], [1.1, 0.0], [0.9, 0.1], [-9.0, 0.0], [1.0, 0.2]]
    strategy = flower.MultiKrum(num_malicious_nodes=1, num_nodes_to_select=4)
    found = weigh(strategy, Robust(), geometry(*ways), [10, 20, 30, 1000, 40])
    assert found.shares == pytest.approx([0.1, 0.2, 0.3, 0.0, 0.4])
    chosen = weigh(strategy, Robust(), geometry(*ways), [0, 0, 0, 1000, 0])
    assert chosen.shares == pytest.approx([0.25, 0.25, 0.25, 0.0, 0.25])


@pytest.mark.parametrize(
    ("strategy", "bounds", "says"),
    [
        ("QFedAvg", {"norm_bound": 2.0}, "robust: norm_bound: QFedAvg aggregates by Flower's own"),
        ("FedMedian", {"max_share": 0.5}, "robust: max_share: FedMedian makes no mean"),
        ("Krum", {"norm_bound": 2.0, "max_share": 0.5}, "Krum makes no mean"),
    ],
)
def test_a_strategy_that_cannot_keep_a_bound_is_refused(strategy, bounds, says):
    with pytest.raises(RunError) as refused:
        Robust(**bounds).require_fitting(strategy)
    assert says in str(refused.value)
    Robust().require_fitting(strategy)
    Robust(norm_bound=2.0).require_fitting("FedMedian")


def test_those_that_aggregate_by_flower_are_known_by_name():
    made = {name: getattr(flower, name) for name in STRATEGIES}
    makes = {"QFedAvg": lambda kind: kind(client_learning_rate=0.1)}
    plain = {name for name, kind in made.items() if is_plain(makes.get(name, lambda k: k())(kind))}
    assert STRATEGIES - plain == BY_FLOWER
