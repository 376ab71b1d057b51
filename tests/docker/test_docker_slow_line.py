"""A site behind a slow, lossy line takes part, and holds nobody up.

It is in a namespace of its own, which is half a container.
"""

import pytest
from fakes.slow_line import HERE, line
from fixtures.deployment import deploy
from fixtures.rehearsals import PLAIN_TRAIN

pytestmark = pytest.mark.docker

MBIT = 20
STRATEGY = """\
from flwr.serverapp.strategy import FedAvg

strategy = FedAvg()"""


def test_a_site_behind_a_slow_and_lossy_line_finishes_its_round(tmp_path):
    """20 Mbit/s, 80 ms there and back, 1 % of the packets lost; the other site is at the server."""
    settings = "parameters: {WIDTH: 60_000}\n"
    with (
        line(MBIT, 0.04, 0.01) as slow,
        deploy(
            tmp_path, ["far", "near"], settings, host=HERE, train=PLAIN_TRAIN, strategy=STRATEGY
        ) as deployed,
    ):
        deployed.start_link("far", *slow.prefix)
        deployed.start_link("near")
        for name in deployed.names:
            deployed.start_worker(name)
        rounds = deployed.begin_rounds("--rounds", "1")
        deployed.wait_for("far.link", "train, round 1, ")
        slow.stands.set()
        deployed.wait_for("near.link", "leaves: ", times=2)  # when it joined, and now its update
        slow.stands.clear()
        said = rounds.communicate()[0]
    assert rounds.returncode == 0, said
    (trained,) = deployed.events("round")
    far, near = trained["sites"]["far"], trained["sites"]["near"]
    assert far["ok"] and near["ok"] and slow.lost > 10
    carried = far["bytes_down"] + far["bytes_up"]
    assert carried > 3_000_000
    assert far["seconds"] > carried * 8 / MBIT / 1e6
