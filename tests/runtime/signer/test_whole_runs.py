"""Runs as they are meant to be get all their signatures, also after a crash."""

from collections import Counter

import numpy as np
import pytest
from fakes.signer import InProcess, rounds
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import events
from flwr.serverapp import strategy as flower

from federator.errors import RunError
from federator.runtime.protocol.instructions import FEDERATION, Instruction
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

SIZES = {"trainset": 10, "valset": 4, "testset": 4}

pytestmark = pytest.mark.usefixtures("in_a_run")


class PowerCut(BaseException):
    """The server goes down."""


class Site:
    """A site whose loss falls, and during whose answer the server may go down, once each."""

    def __init__(self, cuts=(), lost=(), noise=None):
        self.cuts, self.lost, self.noise = list(cuts), list(lost), noise

    def __call__(self, instruction, weights):
        asked = (instruction.kind, instruction.round, instruction.model)
        if asked in self.cuts:
            self.cuts.remove(asked)
            raise PowerCut
        if asked in self.lost:
            self.lost.remove(asked)
            raise Failure("lost")
        loss = 1.0 if weights is None else 1 - float(weights["a"][0]) / 10
        told = Evaluation({"confusion": [[2, 0], [1, 1]]}, loss, 4)
        outcome = Outcome(SIZES, dict.fromkeys(instruction.sets, told))
        if instruction.kind != "train":
            return outcome, None
        step = 1 if self.noise is None else self.noise.random(dtype=np.float32)
        return outcome, {"a": weights["a"] + step}


def begin(tmp_path, signer, sites, strategy, upto=3, **how):
    """Start the server, for the first time or again; return the grid."""
    grid, folder = SiteGrid(sites), RunFolder(tmp_path / "run")
    if (start := folder.last()) is None:
        save(tmp_path / "first.safetensors", {"a": np.zeros(2, np.float32)})
        start = Checkpoint(0, WeightFile(tmp_path / "first.safetensors"))
    to_go = upto - start.round
    serve(grid, folder, strategy, signer=signer, rounds=to_go, **how).run(start)
    return grid


def asked(signer):
    return [(one.node, Instruction.read(one.text)) for one in signer.signed]


STRATEGIES = {
    "plain": flower.FedAvg,
    "some train": lambda: flower.FedAvg(fraction_train=0.5, min_train_nodes=1),
    "with a state": flower.FedAdam,
    "by Flower": flower.Bulyan,
    "by Flower, which validates": lambda: flower.FedAvg(
        fraction_evaluate=1.0, weighted_by_key="num-examples", train_metrics_aggr_fn=lambda *_: None
    ),
    "by loss": lambda: flower.QFedAvg(client_learning_rate=0.1),
}


HOW = [{"select": "best"}, {"baselines": True}, {"personal": True}, {"encoding": "bfloat16"}]


@pytest.mark.parametrize(
    ("strategy", "how"),
    [
        *((strategy, {}) for strategy in STRATEGIES),
        *(("plain", how) for how in HOW),
        *(("by Flower, which validates", how) for how in HOW),
    ],
    ids=str,
)
def test_a_run_gets_all_its_signatures(tmp_path, strategy, how):
    terms = {name: value for name, value in how.items() if name != "select"}
    terms["train_loss"] = strategy == "by loss"
    signer = InProcess(tmp_path / "ledger", rounds(**terms))
    grid = begin(tmp_path, signer, {n: Site() for n in ("east", "north", "south")},
                 STRATEGIES[strategy](), **how)  # fmt: skip
    assert len(grid.told) == len(signer.signed)
    assert {one.round for _, one in asked(signer) if one.kind == "train"} == {1, 2, 3}


CUTS = [
    ("train", 1, FEDERATION),
    ("train", 3, FEDERATION),
    ("evaluate", 3, FEDERATION),
    ("train", 2, "north"),
    ("evaluate", 3, "north"),
]


@pytest.mark.parametrize("select", ["last", "best"])
@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_run_that_is_resumed_after_a_crash_gets_them_again(tmp_path, cut, select):
    """The signer goes down, too, and a site that trains alone comes to other weights."""
    first = InProcess(tmp_path / "ledger", rounds(baselines=True))
    noise = np.random.default_rng(1)
    sites = {name: Site() for name in ("east", "north", "south")}
    sites["north"].cuts.append(cut)
    how = {"baselines": True, "select": select}
    with pytest.raises(PowerCut):
        begin(tmp_path, first, sites, flower.FedAvg(), **how)
    again = InProcess(tmp_path / "ledger", key=first.key)
    sites["north"].noise = noise
    begin(tmp_path, again, sites, flower.FedAvg(), **how)
    tests = Counter((node, one.model) for node, one in asked(again) if "test" in one.sets)
    assert len(tests) == 3 * 4, "three sites, the common model and each site's"
    assert set(tests.values()) == {1}
    assert [event["round"] for event in events(tmp_path / "run", "test")][-1] == 3


def test_more_rounds_are_another_order(tmp_path):
    """Baselines are trained from the first round again, as they were before."""
    signer = InProcess(tmp_path / "ledger", rounds(baselines=True))
    sites = {name: Site() for name in ("east", "north", "south")}
    begin(tmp_path, signer, sites, flower.FedAvg(), baselines=True)
    with pytest.raises(RunError, match="round 4 is not one of the order's"):
        begin(tmp_path, signer, sites, flower.FedAvg(), upto=4, baselines=True)
    signer.service._ledger.close(1, "finished")
    signer.service.give(rounds(4, 5, baselines=True))
    signer.signed.clear()
    begin(tmp_path, signer, sites, flower.FedAvg(), upto=5, baselines=True)
    trained = {one.round for _, one in asked(signer) if (one.kind, one.model) == ("train", "east")}
    assert trained == {1, 2, 3, 4, 5}


def test_a_site_that_was_lost_joins_again_and_takes_part(tmp_path):
    signer = InProcess(tmp_path / "ledger", rounds())
    sites = {"east": Site(lost=[("train", 2, FEDERATION)]), "north": Site(), "south": Site()}
    begin(tmp_path, signer, sites, flower.FedAvg())
    trained = [(node, one.round) for node, one in asked(signer) if one.kind == "train"]
    assert len(set(trained)) == len(trained) == 9, "in each round each site once"
