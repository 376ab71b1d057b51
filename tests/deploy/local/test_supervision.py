"""A part of the server that has died is noticed by who waits for the run."""

import os
import shutil
import signal
import time

import pytest

from federator.deploy.local import supervision
from federator.deploy.local.processes import Processes
from federator.deploy.local.supervision import ServerParts
from federator.errors import RunError


@pytest.fixture
def superlink(tmp_path, monkeypatch):
    """Stands in for a SuperLink that has started a SuperExec; says which process that is."""
    monkeypatch.setattr(supervision, "_PAUSE", 0.0)
    shutil.copy("/bin/sleep", tmp_path / "flower-superexec")
    begin = f"{tmp_path}/flower-superexec 600 & echo $! > {tmp_path}/pid; echo told; wait; sleep 9"
    with Processes(tmp_path) as processes:
        processes.start("superlink", ["/bin/sh", "-c", begin], os.environ)
        while "flower-superexec" not in processes.programs("superlink"):
            assert processes.ended("superlink") is None
            time.sleep(0.01)
        yield processes, lambda: int((tmp_path / "pid").read_text())


def test_a_superexec_that_died_is_told_with_the_log(superlink):
    processes, pid = superlink
    parts = ServerParts(processes)
    for _ in range(3):
        parts.check()
    os.kill(pid(), signal.SIGKILL)
    while "flower-superexec" in processes.programs("superlink"):
        time.sleep(0.01)
    parts.check()  # it may just have done its work: what it has written is read first
    with pytest.raises(RunError, match=r"flower-superexec of the server ended; \S+ ends in:\ntold"):
        parts.check()


def test_what_has_not_begun_yet_has_not_died(superlink):
    parts = ServerParts(superlink[0])
    for _ in range(3):
        parts.check()  # of flwr-serverapp nothing has been seen
