"""A federation of real processes in which one of five sites poisons by its data alone."""

import numpy as np
import pytest
from fixtures.rehearsals import events, lay_out, lay_out_site, rehearse

from federator.results import report

SITES = ("east", "hill", "north", "south", "west")


@pytest.fixture
def run(tmp_path):
    """Two rounds in which south's labels are flipped and its features ten times as large."""
    data = {name: lay_out_site(tmp_path / name, n, size=200) for n, name in enumerate(SITES)}
    for name, change in (("labels", lambda y: 1 - y), ("features", lambda x: 10 * x)):
        file = data["south"] / f"{name}.npy"
        np.save(file, change(np.load(file)))
    read = lay_out(tmp_path, data, "robust: {norm_bound: 1.0, max_share: 0.3}\nsurvey: false\n")
    made = rehearse(read, 2)
    list(made.events())
    return made.folder


def test_the_attacker_is_named_by_round_2_and_bounded(run):
    done = events(run, "round")
    named = {site for event in done for site in event.get("unusual", {})}
    assert named == {"south"}
    for event in done:
        updates = {site: part["update"] for site, part in event["sites"].items()}
        assert updates.keys() == set(SITES)
        norms = sorted(one["norm"] for one in updates.values())
        assert updates["south"]["scale"] == pytest.approx(norms[2] / norms[4], rel=1e-3)
        assert updates["south"]["cosine"] < min(
            one["cosine"] for site, one in updates.items() if site != "south"
        )
        assert sum(one["share"] for one in updates.values()) == pytest.approx(1, abs=1e-3)
    assert "its update was unusual" in report.write(run).read_text()
