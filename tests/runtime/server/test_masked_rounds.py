"""Rounds of secure aggregation: a server with links that mask, and sites that drop out."""

import numpy as np
import pytest
from fakes.coordinator import NODE, OURS, WEIGHTS
from fakes.masked_sites import NAMES, Sites
from fakes.site_grid import SiteGrid, serve
from fixtures.rehearsals import events
from flwr.serverapp import strategy as flower

from federator.errors import RunError
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.aggregation.blockwise import aggregate
from federator.runtime.server.aggregation.robust import Weighting
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import load, save

pytestmark = pytest.mark.usefixtures("in_a_run")
LAST = NAMES[-1]


class Links(SiteGrid):
    """A grid with real links behind it.

    Args:
        sites: theirs.
        breaks: of which site, kind of instruction and attempt the answer is a failure.
        away: by round, which sites are not connected once there were instructions of it.
    """

    def __init__(self, sites, breaks=(), away=None) -> None:
        super().__init__(dict.fromkeys(sites.links, None), away)
        self.sites, self.breaks, self.heard = sites, breaks, []

    def _reply(self, message):
        (site,) = [s for s, node in self._nodes.items() if node == message.metadata.dst_node_id]
        instruction = Instruction.read(messages.Received.of(message).instruction)
        self.told.append((site, instruction))
        times = sum(s == site and i.kind == instruction.kind for s, i in self.told)
        if (site, instruction.kind, times) in self.breaks:
            return replies.failure_reply(Failure("worker-died"), message, site)
        reply = self.sites.links[site].answer(message, OURS, NODE)
        if not reply.has_error() and "arrays" in reply.content.array_records:
            self.heard.append(messages.packed_in(reply.content.array_records["arrays"]))
        return reply


@pytest.fixture
def run(tmp_path):
    """Run a round; return the grid and the folder."""

    def run(breaks=(), away=None, strategy=None, names=NAMES, **how):
        sites = Sites(tmp_path, names=names, coordinator=())
        save(tmp_path / "first.safetensors", WEIGHTS)
        grid, folder = Links(sites, breaks, away), RunFolder(tmp_path / "run")
        how = {"rounds": 1, "quorum": 3, "encoding": "masked", "join_deadline": 3.0, **how}
        server = serve(grid, folder, strategy or flower.FedAvg(), **how)
        server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))
        return grid, folder.path

    return run


def _mean(grid, names):
    return np.mean([grid.sites.workers[name].update["w"] for name in names], axis=0)


def _require_mean(grid, folder, names):
    found = load(folder / "round-001.safetensors")["w"]
    assert np.abs(found - _mean(grid, names)).max() <= len(names) * 2.0**-25 + 2e-7
    (done,) = events(folder, "round")
    assert done["masked"]["sites"] == list(names) and "unusual" not in done
    assert not any("update" in part for part in done["sites"].values()), "no norm is known"
    return done


def test_the_mean_is_that_of_all_and_nothing_plain_came(run):
    grid, folder = run()
    done = _require_mean(grid, folder, NAMES)
    assert done["masked"]["attempts"] == 1 and all(one["ok"] for one in done["sites"].values())
    assert [i.kind for s, i in grid.told if s == "north"] == ["join", "train", "reveal", "evaluate"]
    assert len(grid.heard) == len(NAMES)
    had = b"".join([*grid.heard, *(p.read_bytes() for p in folder.rglob("*") if p.is_file())])
    for name in NAMES:
        assert grid.sites.workers[name].update["w"].tobytes() not in had
    assert load(folder / "round-001.safetensors")["w"].tobytes() in had, "it would be found"


def test_a_site_that_drops_out_while_it_trains_is_left_out(run):
    grid, folder = run({(LAST, "train", 1)})
    done = _require_mean(grid, folder, NAMES[:3])
    assert done["masked"]["attempts"] == 2
    assert not done["sites"][LAST]["ok"] and "ended" in done["sites"][LAST]["reason"]


def test_a_site_that_drops_out_before_the_round_is_left_out(run):
    grid, folder = run({(LAST, "join", number) for number in range(1, 9)}, quorum=3)
    assert _require_mean(grid, folder, NAMES[:3])["masked"]["attempts"] == 1


def test_after_a_reveal_the_round_is_trained_again_with_the_same_sites(run):
    """One did not reveal: the sum of attempt 1 stays unknown, and no smaller one is asked for."""
    grid, folder = run({(LAST, "reveal", 1)})
    assert _require_mean(grid, folder, NAMES)["masked"]["attempts"] == 2
    assert sum(i.kind == "train" for _, i in grid.told) == 2 * len(NAMES)


def test_a_site_that_is_gone_after_a_reveal_ends_the_round_in_words(run):
    breaks = {(LAST, "reveal", n) for n in range(1, 9)} | {(LAST, "train", n) for n in range(2, 9)}
    with pytest.raises(RunError, match=r"round 1: given up after 6 attempts: west: "):
        run(breaks)


def test_fewer_than_the_minimum_end_the_round_in_words(run, tmp_path):
    with pytest.raises(RunError, match=r"2 sites can be summed \(east, north\), 3 needed.*south"):
        run({("south", "train", 1), (LAST, "train", 1)})
    (done,) = events(tmp_path / "run", "round")
    assert not done["sites"]["south"]["ok"]


def test_what_was_clipped_is_in_the_journal(run, monkeypatch):
    original = Links.__init__

    def with_a_leap(self, sites, *more):
        original(self, sites, *more)
        sites.workers["north"].update["w"][0] = 1e6

    monkeypatch.setattr(Links, "__init__", with_a_leap)
    _, folder = run()
    (done,) = events(folder, "round")
    assert done["masked"]["saturated"] == {"north": 1}


@pytest.mark.parametrize(
    "strategy", [flower.FedAvgM(server_momentum=0.9), flower.FedAdam(eta=0.1), flower.FedProx(0.1)]
)
def test_strategies_of_the_mean_do_what_they_do_with_plain_updates(run, strategy, tmp_path):
    _, folder = run(strategy=strategy)
    masked = load(folder / "round-001.safetensors")["w"]
    updates = tmp_path / "updates"
    updates.mkdir()
    sites = Sites(updates, coordinator=())
    files = []
    for name in NAMES:
        save(updates / name, sites.workers[name].update)
        files.append(WeightFile(updates / name))
    before = Checkpoint(0, WeightFile(tmp_path / "first.safetensors"))
    weighting = Weighting.of([1 / len(files)] * len(files))
    plain = aggregate(strategy, 1, before, files, weighting, RunFolder(tmp_path / "plain"), ())
    assert np.allclose(plain.weights.load()["w"], masked, atol=2e-6)
