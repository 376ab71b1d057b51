"""Rounds in the running server: stopped, cut short, gone on with."""

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


def test_a_server_that_is_killed_goes_on_from_the_checkpoint(deployment):
    rounds = deployment.begin("rounds", "--rounds", "2")
    deployment.until(rounds, "after round   0")
    deployment.kill("server")
    rounds.kill()
    rounds.wait()
    assert deployment.events("end") == []
    deployment.start_server()
    said = deployment.wait_for("server", "report:")
    assert "the server went down during rounds: going on from the last checkpoint" in said
    first, second = deployment.events("start")
    assert (first["first_round"], first["last_round"]) == (1, 2)
    assert (second["first_round"], second["last_round"]) == (2, 2)
    assert [event["round"] for event in deployment.events("round")] == [1, 2]
    (end,) = deployment.events("end")
    assert (end["state"], end["round"]) == ("finished", 2)
    assert campaign.unfinished(deployment.premises) is None


def test_rounds_can_be_stopped_and_only_one_at_a_time_started(deployment):
    rounds = deployment.begin("rounds", "--rounds", "50", "--epochs", "2")
    deployment.until(rounds, "site north: joined")
    with pytest.raises(RunError, match="rounds are running"):
        campaign.plan(deployment.premises)
    rounds.terminate()
    assert rounds.wait(60) == 143
    start = deployment.events("start")[-1]
    assert (start["first_round"], start["last_round"], start["local_epochs"]) == (3, 52, 2)
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


def test_rounds_for_all_to_see_show_no_figure_of_a_single_site(deployment):
    rounds = deployment.begin("rounds", "--rounds", "1", "--public")
    said = rounds.communicate()[0]
    assert rounds.returncode == 0 and "site north: joined\n" in said
    # Of a federation of one site, even the figures of all together are those of one.
    assert "validation:" not in said and "No model has been tested." in said
    private = deployment.begin("rounds", "--rounds", "1").communicate()[0]
    assert "site north: joined (train 64" in private and "validation:" in private
