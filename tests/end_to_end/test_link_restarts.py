"""A site's link is killed and started again, in each stage of a run: that costs a round at most.

SuperLink, gateway, server, links and workers are the real ones, each a process.
"""

import os
import signal
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fixtures.deployment import deploy
from fixtures.rehearsals import PLAIN_TRAIN

SITES = ["north", "south"]
SLOW = PLAIN_TRAIN.replace("    for ", '    __import__("time").sleep(2)\n    for ', 1)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    root = tmp_path_factory.mktemp("deployment")
    with deploy(root, SITES, "min_sites: 1\n", train=SLOW) as deployed:
        for name in SITES:
            deployed.start_link(name)
            deployed.start_worker(name)
        yield deployed


@pytest.fixture(autouse=True)
def running(deployment):
    """All parts of the sites run when a test begins, however the one before it ended."""
    for name in SITES:
        if not deployment.is_running(f"{name}.link"):
            deployment.start_link(name)
        if not deployment.is_running(f"{name}.worker"):
            deployment.start_worker(name)


def restart(deployment, name):
    """Kill a part, and start it again, as Docker does after a crash."""
    os.kill(deployment.processes.pid(name), signal.SIGKILL)
    while deployment.is_running(name):
        time.sleep(0.01)
    deployment.processes.restart(name)


def worker_follows(deployment):
    """Start a worker again, which ends when its link is gone."""
    while deployment.is_running("north.worker"):
        time.sleep(0.01)
    deployment.processes.restart("north.worker")


def of_gateway(deployment):
    """The gateway's processes: nginx, and its workers."""
    first = deployment.processes.pid("gateway")
    return [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]


@contextmanager
def frozen(pids):
    """Let processes stand still, as they may on a machine or a line that does."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # it was killed meanwhile
                os.kill(pid, signal.SIGCONT)


class Run:
    """A run of two rounds, whose first site's link is watched."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.log = deployment.processes.log("north.link")
        self.before = self.log.read_text() if self.log.exists() else ""
        self.command = deployment.begin_rounds("--rounds", "2", "--epochs", "1", "--fresh")

    def hears(self, words):
        """Wait until the link says something in this run."""
        self.deployment.wait_for("north.link", words, times=self.before.count(words) + 1)

    def end(self):
        """Wait for the end of the run; return by round whether the first site took part."""
        said = self.command.communicate()[0]
        assert self.command.returncode == 0, said
        told = [event for event in self.deployment.events("site") if event["site"] == "north"]
        assert {event["state"] for event in told} == {"joined"}, "it was greeted anew, not again"
        rounds = self.deployment.events("round")
        assert all(one["sites"]["south"]["ok"] for one in rounds)
        return [one["sites"].get("north", {}).get("ok") for one in rounds]


def test_a_link_that_is_killed_while_it_joins_misses_no_round(deployment):
    """It has noted the instruction as followed; its worker surveys the data."""
    with frozen([deployment.processes.pid("north.worker")]):
        run = Run(deployment)
        run.hears("join, round 0")
        restart(deployment, "north.link")
        restart(deployment, "north.worker")
    assert run.end() == [True, True]


def test_a_link_that_is_killed_before_its_worker_is_there_misses_no_round(deployment):
    deployment.end("north.worker")
    run = Run(deployment)
    run.hears("join, round 0")
    restart(deployment, "north.link")
    deployment.processes.restart("north.worker")
    assert run.end() == [True, True]


def test_a_link_that_is_killed_while_its_worker_trains_misses_that_round(deployment):
    run = Run(deployment)
    run.hears("train, round 1")
    restart(deployment, "north.link")
    worker_follows(deployment)
    assert run.end()[0] is False, "it may miss the next one, too, until its worker is there"


def test_a_link_that_is_killed_while_it_uploads_misses_that_round(deployment):
    run = Run(deployment)
    run.hears("train, round 1")
    time.sleep(1)  # it has the model, and its worker trains for two seconds
    with frozen(of_gateway(deployment)):
        run.hears("leaves: 4 tensors")
        restart(deployment, "north.link")
    worker_follows(deployment)
    assert run.end()[0] is False


def test_a_link_that_is_killed_while_it_evaluates_ends_no_run(deployment):
    run = Run(deployment)
    run.hears("evaluate, round")
    restart(deployment, "north.link")
    worker_follows(deployment)
    assert run.end() == [True, True]
