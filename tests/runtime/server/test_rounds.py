"""Rounds with sites that come and go, or of which only some train."""

import time
from dataclasses import replace

import numpy as np
import pytest
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import events
from flwr.serverapp import strategy as flower

from federator.errors import RunError
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

SIZES = {"trainset": 10, "valset": 4, "testset": 4}
LEVEL = {"east": 0.1, "north": 0.2, "south": 5.0}  # of loss: south's patients are hard

pytestmark = pytest.mark.usefixtures("in_a_run")


class Site:
    """A site whose loss falls by a tenth a round; it fails where it is to."""

    def __init__(self, level, fails=()):
        self.level, self.fails = level, fails

    def __call__(self, instruction, weights):
        if weights is None:
            return Outcome(SIZES), None
        if (instruction.kind, instruction.round) in self.fails:
            raise Failure("outputs-not-finite", set="val", count=instruction.round)
        loss = self.level * (1 - float(weights["a"][0]) / 10)
        told = Evaluation({"confusion": [[2, 0], [1, 1]]}, loss, 4)
        outcome = Outcome(SIZES, dict.fromkeys(instruction.sets, told))
        trains = instruction.kind == "train"
        return outcome, {"a": weights["a"] + 1} if trains else None


@pytest.fixture
def run(tmp_path):
    """Run rounds; return the model that was chosen, the grid and the journal's folder."""

    def run(sites, strategy=None, away=None, **how):
        save(tmp_path / "first.safetensors", {"a": np.zeros(2, np.float32)})
        grid, folder = SiteGrid(sites, away), tmp_path / "run"
        server = serve(grid, RunFolder(folder), strategy or flower.FedAvg(), **how)
        chosen = server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))
        return chosen, grid, folder

    return run


def test_all_that_joined_validate_where_a_fraction_trains(run):
    strategy = flower.FedAvg(fraction_train=0.5, min_train_nodes=1)
    _, grid, folder = run({name: Site(LEVEL[name]) for name in LEVEL}, strategy, rounds=6)
    assert [len(event["sites"]) for event in events(folder, "round")] == [1] * 6
    for event in events(folder, "validation"):
        assert event["sites"].keys() == LEVEL.keys()
        assert event["missing"] == {}
    for number in range(1, 7):
        kinds = [order.kind for _, order in grid.told if order.round == number][:3]
        assert sorted(kinds) == ["evaluate", "evaluate", "train"]
    trained = {site for site, order in grid.told if order.kind == "train"}
    assert len(trained) > 1, "not always the same"


def test_where_all_train_there_is_one_message_a_site_and_round(run):
    _, grid, _ = run({name: Site(LEVEL[name]) for name in LEVEL}, rounds=3)
    assert [order.kind for _, order in grid.told] == ["join"] * 3 + ["train"] * 9 + ["evaluate"] * 3


def test_an_evaluation_that_fails_costs_no_round_and_is_told(run):
    fails = {("evaluate", number) for number in range(1, 9)}
    sites = {name: Site(LEVEL[name]) for name in LEVEL} | {"south": Site(5.0, fails)}
    strategy = flower.FedAvg(fraction_train=0.3, min_train_nodes=1)
    _, _, folder = run(sites, strategy, rounds=8)
    assert len(events(folder, "round")) == 8
    absent = [event for event in events(folder, "validation") if "south" not in event["sites"]]
    assert absent
    for event in absent:
        (reason,) = event["missing"].values()
        assert "the model's outputs are not finite numbers, for the validation set" in reason


def test_training_that_fails_is_told_with_round_and_site(run):
    sites = {"north": Site(0.2, {("train", 2)}), "south": Site(5.0, {("train", 2)})}
    with pytest.raises(RunError) as ended:
        run(sites, rounds=3)
    assert str(ended.value).startswith("round 2: 0 of 2 sites delivered an update, 1 needed (north")
    assert "south: the model's outputs are not finite numbers" in str(ended.value)
    assert "in round 2" in str(ended.value)


@pytest.mark.parametrize("select", ["best", "last"])
def test_a_round_without_the_hardest_site_is_not_the_best(run, select):
    """Without south the loss is a tenth; and the last round is lower than the others with it."""
    sites = {name: Site(LEVEL[name]) for name in LEVEL} | {"south": Site(5.0, {("train", 3)})}
    chosen, _, folder = run(sites, rounds=5, select=select)
    assert chosen.round == 5
    told = {event["round"]: event["sites"].keys() for event in events(folder, "validation")}
    assert told[2] == {"east", "north"}
    if select == "best":
        (selection,) = events(folder, "selection")
        assert selection["round"] == 5
        assert selection["compared"] == [0, 1, 3, 4, 5]
        assert selection["left_out"] == {"2": "not measured at south"}
        assert selection["sites"] == ["east", "north", "south"]


def test_a_site_that_is_away_meanwhile_is_missing_in_what_it_missed(run):
    """It has lost its connection when round 3 begins, and is back in round 5."""
    sites = {name: Site(LEVEL[name]) for name in LEVEL}
    away = {2: {"south"}, 3: {"south"}}
    chosen, _, folder = run(sites, away=away, rounds=6, select="best")
    told = {event["round"]: set(event["sites"]) for event in events(folder, "validation")}
    assert {number for number, names in told.items() if "south" not in names} == {2, 3}
    assert chosen.round == 6
    (selection,) = events(folder, "selection")
    assert selection["left_out"].keys() == {"2", "3"}


@pytest.mark.parametrize("strategy", [flower.FedAvg(), flower.Krum()])
def test_a_deadline_follows_from_the_first_two_rounds(run, strategy):
    sites = {name: Site(LEVEL[name]) for name in LEVEL}
    _, grid, _ = run(sites, strategy, rounds=4, measured=3.0, round_deadline=7200.0)
    now, ends = time.time(), dict[int, float]()
    for _, order in grid.told:
        if order.kind == "train":
            ends[order.round] = order.expires - now
    assert all(7000 < ends[number] <= 7200 for number in (1, 2))
    assert all(0 < ends[number] <= 60 for number in (3, 4))


@pytest.mark.parametrize("strategy", [flower.FedAvg, flower.FedMedian])
def test_a_site_that_keeps_its_losses_takes_part(run, strategy):
    """The best round is chosen by the others' losses; the pooled loss is missing."""

    class Discreet(Site):
        def __call__(self, instruction, weights):
            outcome, update = super().__call__(instruction, weights)
            kept = {
                name: replace(one, loss=None, withheld=("loss",))
                for name, one in outcome.evaluations.items()
            }
            return replace(outcome, evaluations=kept), update

    sites = {name: Site(LEVEL[name]) for name in LEVEL} | {"south": Discreet(5.0)}
    chosen, _, folder = run(sites, strategy(), rounds=3, select="best")
    assert chosen.round == 3
    last = events(folder, "validation")[-1]
    assert "loss" not in last["sites"]["south"]
    assert last["sites"]["south"]["withheld"] == ["loss"]
    assert last["sites"]["north"]["loss"] > 0
    assert all(one["ok"] for event in events(folder, "round") for one in event["sites"].values())
