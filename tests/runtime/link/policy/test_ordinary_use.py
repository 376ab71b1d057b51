"""What an ordinary federation asks of a site, counted in a run: the defaults leave room for it."""

from collections import Counter

import numpy as np
import pytest
from fakes.site_grid import SiteGrid, serve
from flwr.serverapp.strategy import FedAvg

from federator.runtime.link.policy.guard import PolicyGuard
from federator.runtime.link.policy.ledger import ALL, ROUNDS
from federator.runtime.link.policy.rules import Rules
from federator.runtime.protocol.outcomes import Evaluation, Outcome
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import save

SIZES = {"trainset": 10, "valset": 4, "testset": 4}
EVALUATION = Evaluation({"confusion": [[2, 0], [1, 1]]}, 0.5, 4)

pytestmark = pytest.mark.usefixtures("in_a_run")


def follow(instruction, weights):
    outcome = Outcome(SIZES, dict.fromkeys(instruction.sets, EVALUATION))
    return outcome, {"a": weights["a"] + 1} if instruction.kind == "train" else None


def asked(rounds, sites, personal):
    """What an order asks of each site: with baselines, and the best round chosen.

    The common model is validated before each round and after the last one, the site's own in each
    round, the personal one after each; at the end each site's model is evaluated at every site.
    """
    return {
        ROUNDS: 2 * rounds,
        "val": (rounds + 1) + rounds + (rounds if personal else 0) + sites,
        "test": 1 + (1 if personal else 0) + sites,
    }


@pytest.mark.parametrize("personal", [False, True])
def test_what_is_said_to_be_asked_is_what_a_run_asks(tmp_path, personal):
    save(tmp_path / "first.safetensors", {"a": np.zeros(2, np.float32)})
    grid = SiteGrid(dict.fromkeys(("east", "north", "south"), follow))
    server = serve(
        grid,
        RunFolder(tmp_path / "run"),
        FedAvg(),
        rounds=4,
        select="best",
        baselines=True,
        personal=personal,
    )
    server.run(Checkpoint(0, WeightFile(tmp_path / "first.safetensors")))
    guard = PolicyGuard()
    for site, instruction in grid.told:
        if site == "north":
            guard.admit(instruction, "a" * 64)
    counted = Counter({what: guard.ledger.count(ALL, what) for what in (ROUNDS, "val", "test")})
    assert counted == asked(4, 3, personal)


def test_an_ordinary_federation_stays_within_the_defaults():
    """50 rounds at ten sites, ordered three times, and a fifth more for what is asked again."""
    rules = Rules()
    needed = {what: 3 * number * 6 / 5 for what, number in asked(50, 10, False).items()}
    assert needed[ROUNDS] <= rules.rounds_per_app
    assert needed["val"] == pytest.approx(rules.evaluations_per_app["val"], rel=0.01)
    assert needed["test"] <= rules.evaluations_per_app["test"]


def test_the_validations_of_all_versions_tell_less_of_a_patient_than_a_record_holds():
    """30 values to one percent; 0.114 bits an answer (test_rounding.py)."""
    rules, record = Rules(), 30 * np.log2(100)
    assert 0.114 * rules.evaluations_in_all["val"] < record
    assert 0.114 * rules.evaluations_per_app["val"] < record / 2
