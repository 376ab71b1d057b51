"""Rounds in the running server: through the gateway, public, and stopped.

How they go on after a server was killed is tested with containers.
"""

import re

import pytest
from deployment import deploy

from federator.errors import RunError
from federator.runtime import campaign


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    """A server, and one site that takes part."""
    with deploy(tmp_path_factory.mktemp("deployment"), ["north"]) as deployed:
        deployed.start_site("north")
        yield deployed


def test_weights_pass_the_gateway_as_files_and_nobody_sees_a_single_site(deployment):
    rounds = deployment.begin("rounds", "--rounds", "1", "--public")
    said = rounds.communicate()[0]
    assert rounds.returncode == 0 and "site north: joined\n" in said
    # Of a federation of one site, even the figures of all together are those of one.
    assert "validation:" not in said and "No model has been tested." in said
    (run,) = (path for path in deployment.premises.runs.iterdir() if path.is_dir())
    made = {path.name for path in run.iterdir()}
    assert made >= {"model.safetensors", "manifest.json", "report.html", "round-001.safetensors"}
    calls = (deployment.processes.logs / "gateway.log").read_text()
    assert len(re.findall(r"/v1/weights/down/\*/model 206", calls)) >= 2, "the model came as a file"
    assert len(re.findall(r"/v1/weights/up/\*/0000 204", calls)) == 1, "and so did the update"
    assert [path for path in deployment.premises.store.rglob("*") if path.is_file()] == []
    assert "leaves: 4 tensors" in deployment.wait_for("north.link", "evaluate, round 1")


def test_rounds_can_be_stopped_and_only_one_at_a_time_started(deployment):
    rounds = deployment.begin("rounds", "--rounds", "50", "--epochs", "2")
    deployment.until(rounds, "site north: joined (train 64")
    with pytest.raises(RunError, match="rounds are running"):
        campaign.plan(deployment.premises)
    rounds.terminate()
    assert rounds.wait(60) == 143
    start = deployment.events("start")[-1]
    assert (start["first_round"], start["last_round"], start["local_epochs"]) == (2, 51, 2)
    assert deployment.events("end")[-1]["state"] == "stopped"


def test_rounds_are_stopped_from_elsewhere_even_as_they_start(deployment, monkeypatch):
    rounds = deployment.begin("rounds", "--rounds", "50")
    with monkeypatch.context() as patch:
        patch.setattr(campaign, "_STARTING", 60.0)  # however busy the machine is
        assert campaign.stop(deployment.premises)
    assert rounds.wait(60) == 143
    rounds = deployment.begin("rounds", "--rounds", "500")
    deployment.until(rounds, "after round")
    done = deployment.begin("rounds", "--stop")
    assert done.communicate()[0] == "stopped\n" and done.wait() == 0
    assert rounds.wait(60) == 143
    assert deployment.events("end")[-1]["state"] == "stopped"
    assert not campaign.stop(deployment.premises)
