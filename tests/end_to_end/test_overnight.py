"""Sites that are away for a while cost an order nothing but time, and nobody has to look on.

SuperLink, gateway, signer, server, links and workers are the real ones, each a process.
"""

import os
import signal
import time

import pytest
from fixtures.command_line import call
from fixtures.deployment import STOP, deploy
from fixtures.rehearsals import PLAIN_TRAIN

from federator.runtime.control import schedule

SITES = ["east", "north", "south"]
AWAY = SITES[1:]
SLOW = PLAIN_TRAIN.replace("    for ", '    __import__("time").sleep(2)\n    for ', 1)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    root = tmp_path_factory.mktemp("deployment")
    settings = "min_sites: 2\ndeadlines: {join: 30s, pause: 2h}\n"
    with deploy(root, SITES, settings, train=SLOW) as deployed:
        for name in SITES:
            deployed.start_link(name)
            deployed.start_worker(name)
        for name in SITES:
            deployed.wait_for(f"{name}.link", "is connected")
        yield deployed


def wait_until(look):
    deadline = time.monotonic() + STOP
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stop_links(deployment):
    for name in AWAY:
        deployment.end(f"{name}.link")
        deployment.end(f"{name}.worker")


def start_links(deployment):
    for name in AWAY:
        deployment.start_link(name)
        deployment.start_worker(name)


def begin(deployment, count):
    """Begin with rounds, and have two links stop in the second one; return who follows."""
    rounds = deployment.begin_rounds("--rounds", str(count), "--epochs", "1", "--fresh")
    logs = [deployment.processes.log(f"{name}.link") for name in AWAY]
    before = [log.read_text().count("train, round 2") for log in logs]
    for name, times in zip(AWAY, before, strict=True):
        deployment.wait_for(f"{name}.link", "train, round 2", times=times + 1)
    stop_links(deployment)
    wait_until(lambda: deployment.events("paused"))
    time.sleep(2)  # who follows has read it
    return rounds


def require_whole(deployment, count):
    """See that the order was carried out."""
    *_, end = deployment.events("end")  # a server that was ended has written one, too
    assert (end["state"], end["round"]) == ("finished", count), end
    done = {event["round"]: event["sites"] for event in deployment.events("round")}
    assert sorted(done) == list(range(1, count + 1))
    assert all(sum(site["ok"] for site in sites.values()) >= 2 for sites in done.values())
    assert done[count].keys() == set(SITES) and all(s["ok"] for s in done[count].values())


def test_an_order_is_finished_although_two_of_three_links_stop_and_nobody_looks_on(deployment):
    rounds = begin(deployment, 4)
    rounds.send_signal(signal.SIGINT)
    said = rounds.communicate(timeout=60)[0]
    assert rounds.returncode == 130, said
    assert "paused (round 2): waiting for 1 of north, south until " in said
    assert schedule.is_running(deployment.paths)
    status = call("status", deployment.paths.runs)
    assert ": paused, round 1 of 4, waiting for 1 of north, south until " in status.stdout
    time.sleep(3)
    start_links(deployment)
    follower = deployment.begin("rounds", "--follow")
    said = follower.communicate(timeout=STOP)[0]
    assert follower.returncode == 0, said
    assert "site north: joined" in said and "going on (round 2) after a pause of " in said
    assert "model:" in said
    (resumed,) = deployment.events("resumed")
    assert resumed["seconds"] > 3
    (paused, *_) = deployment.events("paused")
    east = deployment.processes.log("east.link").read_text()
    assert east.count("train, round 2") == 1, "what it had trained was kept"
    assert paused["reasons"].keys() == set(AWAY)
    require_whole(deployment, 4)


def test_a_server_that_is_started_again_in_a_pause_goes_on_with_it(deployment):
    rounds = begin(deployment, 3)
    (before,) = deployment.events("paused")
    os.kill(schedule._who(deployment.paths.runs), signal.SIGKILL)
    deployment.end("server")
    assert rounds.wait(60) == 1
    deployment.start_missing()
    wait_until(lambda: len(deployment.events("paused")) > 1)
    assert deployment.events("paused")[-1]["until"] == before["until"]
    start_links(deployment)
    wait_until(lambda: deployment.events("end")[-1]["state"] == "finished")
    wait_until(lambda: not schedule.is_running(deployment.paths))
    require_whole(deployment, 3)


def test_nothing_is_followed_where_nothing_runs(deployment):
    follower = deployment.begin("rounds", "--follow")
    assert follower.wait(60) == 1
