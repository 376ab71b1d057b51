"""The surveys of a run: written into its journal, and whatever a site tells, the run goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from fakes.site_grid import SiteGrid, serve
from fixtures.surveys import surveyed, table
from flwr.serverapp.strategy import FedAvg

from federator.errors import RunError
from federator.runtime.protocol.outcomes import Evaluation, Outcome
from federator.runtime.protocol.survey import Survey
from federator.runtime.server.journal import Round, Surveyed, events
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.format import Weights

pytestmark = pytest.mark.usefixtures("in_a_run")

SIZES = {"trainset": 150, "valset": 50, "testset": 50}


def site(told: Survey | None):
    """Return a site that trains, and tells a survey when it is asked."""

    def follow(instruction, weights: Weights | None):
        if weights is None:
            return Outcome(SIZES, survey=told if instruction.survey else None), None
        found = {part: Evaluation({}, 0.5, SIZES[f"{part}set"]) for part in instruction.sets}
        return Outcome(SIZES, found), weights if instruction.kind == "train" else None

    return follow


def run(tmp_path, sites, **settings):
    folder = RunFolder(tmp_path / "run")
    grid = SiteGrid(sites)
    rounds = serve(grid, folder, FedAvg(), rounds=1, **settings)
    first = Store(tmp_path / "first").keep({"w": np.ones(3, np.float32)})
    try:
        rounds.run(Checkpoint(0, first))
    finally:
        told = events(folder.path, Surveyed)
    return told, events(folder.path, Round)


@pytest.fixture
def clean():
    return {name: surveyed(*vars(table(seed)).values()) for seed, name in enumerate("abc")}


def test_what_sites_tell_is_written_once_before_the_first_round(tmp_path, clean):
    sites = {name: site(one) for name, one in clean.items()} | {"d": site(None)}
    (told,), rounds = run(tmp_path, sites, survey="yes")
    assert told.sites.keys() == {"a", "b", "c", "d"}
    assert told.sites["d"] is None and told.findings == []
    assert told.sites["a"].shape == (8,)
    assert told.sites["a"].tables["labels.train"] == clean["a"].tables["labels.train"]
    assert told.time < rounds[0].time


def test_nothing_is_asked_or_written_where_the_federation_wants_no_survey(tmp_path, clean):
    told, rounds = run(tmp_path, {name: site(one) for name, one in clean.items()}, survey="no")
    assert told == [] and len(rounds) == 1


def test_a_required_survey_stops_on_a_finding_with_site_and_remedy(tmp_path, clean):
    odd = replace(clean["c"], dtype="float64")
    sites = {"a": site(clean["a"]), "b": site(clean["b"]), "c": site(odd)}
    with pytest.raises(RunError, match=r"c: type: .*float64, not float32; let load_data return"):
        run(tmp_path, sites, survey="required")


class Lying(Survey):
    """A survey of a site that does not run this link."""

    text: str

    def write(self):
        return self.text


def lying(text: str) -> Survey:
    made = Lying()
    object.__setattr__(made, "text", text)
    return made


HUGE = {"tables": {f"channel.{k}": [[1e300, 1e30, 1e30, 1e-300, -1e30, 1e-300]] for k in range(64)}}
NONE = {"tables": {"labels.train": [[0, 0]], "sketch.train": [[0] * 64] * 2, "both.train.val": []}}


@pytest.mark.parametrize(
    "text",
    ["", "null", "[" * 5000, '{"tables": 7}', '{"tables": {"labels.train": [[-1, "Jane"]]}}',
     '{"shape": [1e999], "dtype": {}}', json.dumps(HUGE), json.dumps(NONE), "x" * 200_000],
)  # fmt: skip
def test_a_hostile_survey_does_not_end_a_run(tmp_path, clean, text):
    sites = {"a": site(clean["a"]), "b": site(clean["b"]), "c": site(lying(text))}
    (told,), rounds = run(tmp_path, sites, survey="yes")
    assert rounds[0].sites.keys() == {"a", "b", "c"} and rounds[0].ok
    assert all(one.sites != ("a",) and one.sites != ("b",) for one in told.findings)
