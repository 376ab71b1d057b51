"""A run pauses while too few of its sites are there, and goes on when enough are back."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fakes.signer import InProcess, rounds
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import events
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import strategy as flower

from federator.errors import RunError
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.server import journal
from federator.runtime.server import sites as sites_module
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.waits import pauses
from federator.runtime.server.waits.pauses import Pauses, Shortage
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

SITES = ("east", "north", "south")
SIZES = {"trainset": 10, "valset": 4, "testset": 4}

pytestmark = pytest.mark.usefixtures("in_a_run")


def follow(instruction, weights):
    """Do what a site is told: each round adds 1 to the model."""
    if weights is None:
        return Outcome(SIZES), None
    told = Evaluation({"confusion": [[2, 0], [1, 1]]}, 0.5, 4)
    trained = {"a": weights["a"] + 1} if instruction.kind == "train" else None
    return Outcome(SIZES, dict.fromkeys(instruction.sets, told)), trained


class Outages(SiteGrid):
    """A grid whose sites go away when they are told something, for so many looks.

    Args:
        outages: by site, kind and round of what it does not answer any more: the looks, or a
            failure, which the site then has each time.
        absent: by site, the looks for which it is not there at first.
    """

    def __init__(self, outages=(), absent=()) -> None:
        super().__init__(dict.fromkeys(SITES, follow))
        self._outages, self._gone = dict(outages), dict(absent)
        self._returns = dict.fromkeys(SITES, 0)

    def get_nodes(self):
        for site, looks in list(self._gone.items()):
            self._gone[site] = looks - 1
            if looks <= 0:
                del self._gone[site]
                self._returns[site] += 1
        return [
            NodeInfo(node_id=node, name=site, last_activated_at=str(self._returns[site]))
            for site, node in self._nodes.items()
            if site not in self._gone
        ]

    def pull_messages(self, ids):
        return [reply for reply in super().pull_messages(ids) if reply is not None]

    def _reply(self, message):
        told = len(self.told)
        reply = super()._reply(message)
        site, instruction = self.told[told]
        outage = self._outages.get((site, instruction.kind, instruction.round))
        if isinstance(outage, Failure):
            return self._failing(message, outage)
        if outage is not None:
            del self._outages[site, instruction.kind, instruction.round]
            self._gone[site] = outage
            return None
        return reply

    def _failing(self, message, failure):
        def fail(*_):
            raise failure

        (site,) = [s for s, node in self._nodes.items() if node == message.metadata.dst_node_id]
        self.follow[site] = fail
        return super()._reply(message)

    def times(self, site, kind, number):
        """Return how often a site was told something."""
        return [(s, i.kind, i.round) for s, i in self.told].count((site, kind, number))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run three rounds with a quorum of two; return the run's folder."""
    monkeypatch.setattr(sites_module, "_ROLL_CALL", 0.0)
    monkeypatch.setattr(pauses, "_LOOK", 0.02)

    def run(grid, strategy=None, **how):
        save(tmp_path / "first.safetensors", {"a": np.zeros(2, np.float32)})
        how = {"quorum": 2, "pause": 600.0, "join_deadline": 0.5, **how}
        signer = InProcess(tmp_path / "signer", rounds(sites=SITES))
        folder = RunFolder(tmp_path / "run")
        server = serve(grid, folder, strategy or flower.FedAvg(), signer=signer, **how)
        server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))
        return folder.path

    return run


def both(kind, number, how):
    return {("north", kind, number): how, ("south", kind, number): how}


@pytest.mark.parametrize("strategy", [flower.FedAvg, flower.FedMedian])
def test_a_round_waits_for_those_that_are_away_and_asks_only_them_again(run, strategy):
    """What the others have trained stays; all is signed within one order."""
    grid = Outages(both("train", 2, 30))
    folder = run(grid, strategy())
    (told,) = events(folder, "paused")
    assert told["sites"] == ["north", "south"] and told["needed"] == 1
    assert told["step"] == "round 2"
    assert told["reasons"]["south"] == "the connection to the site was lost"
    (resumed,) = events(folder, "resumed")
    assert resumed["step"] == "round 2" and resumed["seconds"] > 0.2
    assert grid.times("east", "train", 2) == 1
    assert grid.times("north", "train", 2) == grid.times("south", "train", 2) == 2
    done = events(folder, "round")
    assert [one["round"] for one in done] == [1, 2, 3]
    assert all(site["ok"] for one in done for site in one["sites"].values())
    assert done[1]["seconds"] < resumed["seconds"], "the pause is no part of the round"


def test_a_strategy_of_flowers_own_loop_waits_too(run):
    class Own(flower.FedAvg):
        """It is run by Flower's own ``start``."""

    grid = Outages(both("train", 2, 30))
    folder = run(grid, Own())
    assert [one["step"] for one in events(folder, "resumed")] == ["round 2"]
    assert [one["round"] for one in events(folder, "round")] == [1, 2, 3]


def test_a_round_does_not_begin_before_enough_are_there(run):
    grid = Outages(both("train", 1, 30) | {("east", "train", 1): 60}, {})
    folder = run(grid)
    assert {one["step"] for one in events(folder, "paused")} == {"round 1"}
    assert all(sum(s["ok"] for s in one["sites"].values()) >= 2 for one in events(folder, "round"))


def test_a_run_begins_when_enough_have_come(run):
    folder = run(Outages(absent={"north": 200, "south": 200}))
    (told,) = events(folder, "paused")
    assert (told["step"], told["needed"]) == ("joining", 1)
    assert told["reasons"] == dict.fromkeys(("north", "south"), "it did not connect")


def test_the_last_test_waits_too_and_is_asked_once_of_each_site(run):
    grid = Outages(both("evaluate", 3, 30))
    folder = run(grid)
    assert [one["step"] for one in events(folder, "resumed")] == ["the test of round 3"]
    (tested,) = events(folder, "test")
    assert len(tested["sites"]) >= 2 and grid.times("east", "evaluate", 3) == 1


def test_a_pause_ends_and_the_run_fails_in_words(run):
    began = time.time()
    with pytest.raises(RunError, match="round 2: 1 of 3 sites delivered an update, 2 needed") as no:
        run(Outages(both("train", 2, 10**9)), pause=0.5)
    assert time.time() - began < 60
    assert "north: the connection to the site was lost" in str(no.value)
    assert f"; the run was paused for them until {datetime.now(UTC):%Y-%m-%d}" in str(no.value)


@pytest.mark.parametrize("failure", [Failure("exception"), Failure("late"), Failure("worker-died")])
def test_there_is_no_pause_for_sites_that_are_there_and_fail(run, tmp_path, failure):
    with pytest.raises(RunError, match="1 of 3 sites delivered") as told:
        run(Outages(both("train", 2, failure)))
    assert "paused" not in str(told.value) and events(tmp_path / "run", "paused") == []


def test_there_is_no_pause_for_sites_that_refuse_to_join(run, tmp_path):
    grid = Outages(both("join", 0, Failure("outdated", "x")))
    with pytest.raises(RunError, match=r"1 of 3 sites joined \(east\), 2 needed: north: the site"):
        run(grid)
    assert events(tmp_path / "run", "paused") == []


def test_without_pauses_a_run_fails_at_once(run, tmp_path):
    with pytest.raises(RunError, match="1 of 3 sites delivered"):
        run(Outages(both("train", 2, 30)), pause=0.0)
    assert events(tmp_path / "run", "paused") == []


def at(minutes):
    return journal.now() + timedelta(minutes=minutes)


def paused(until):
    return journal.Paused(time=journal.now(), step="round 7", sites=["a"], needed=1, until=until)


@pytest.mark.parametrize(
    ("then", "left"),
    [
        ([], 30),  # the server was killed in the pause
        ([journal.End(time=journal.now(), state="stopped")], 30),  # or asked to end
        ([journal.Resumed(time=journal.now(), step="round 7", seconds=1.0)], 600),
    ],
    ids=["killed", "stopped", "resumed"],
)
def test_a_server_that_is_started_again_waits_for_what_was_left(tmp_path, monkeypatch, then, left):
    journal.append(tmp_path, paused(at(30)))
    for event in then:
        journal.append(tmp_path, event.model_copy(update={"time": journal.now()}))
    here = set()
    monkeypatch.setattr(pauses, "_LOOK", 0.0)
    found = Pauses(tmp_path, 36_000.0, lambda _: here.add("a"))
    assert found.wait("joining", Shortage(here, 1, frozenset("a"), dict))
    told = journal.events(tmp_path, journal.Paused)[-1]
    assert (told.until - told.time) / timedelta(minutes=1) == pytest.approx(left, abs=1)


def test_who_cannot_join_is_asked_again_more_and_more_seldom(tmp_path, monkeypatch):
    now = [1000.0]

    class Clock:
        """Goes on only while somebody waits."""

        time = staticmethod(lambda: now[0])

        @staticmethod
        def sleep(seconds):
            now[0] += seconds

    monkeypatch.setattr(pauses, "time", Clock)
    asked = []
    found = Pauses(tmp_path, 3600.0, lambda again: again and asked.append(now[0] - 1000.0))
    assert not found.wait("round 7", Shortage([], 1, frozenset("a"), dict))
    assert asked[:5] == [2.0, 6.0, 14.0, 30.0, 62.0]
    assert 60 < len(asked) < 66, "once a minute"
    assert len(journal.events(tmp_path, journal.Paused)) == 1, "it is told once"
