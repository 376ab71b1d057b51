"""Processes that never outlive the one that started them."""

import os
import signal
import subprocess
import sys
import time

import pytest
from fixtures.processes import alive, wait_for

from federator.deploy.local.processes import Processes

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True);"
    "time.sleep(600)",
]
# A process that leaves a grandchild behind when it ends.
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys; p = subprocess.Popen(['sleep', '600'], start_new_session=True);"
    "print('up', p.pid, flush=True); sys.exit(0)",
]


@pytest.mark.parametrize("command", [SLEEP, STUBBORN], ids=["asked", "killed"])
def test_all_processes_end_on_leaving(tmp_path, command):
    with Processes(tmp_path, grace=0.5) as processes:
        processes.start("one", command, os.environ)
        wait_for(tmp_path / "one.log", "up")
        assert processes.ended("one") is None
        pid = processes.pid("one")
    assert not alive(pid)


def test_an_error_inside_ends_them_too(tmp_path):
    pid = 0
    with pytest.raises(KeyError), Processes(tmp_path) as processes:
        processes.start("one", SLEEP, os.environ)
        wait_for(tmp_path / "one.log", "up")
        pid = processes.pid("one")
        raise KeyError
    assert not alive(pid)


def test_what_a_process_leaves_behind_ends_too(tmp_path):
    # In a process of its own: an heir of orphans is one for good.
    code = (
        "import os, sys; from pathlib import Path\n"
        "from federator.deploy.local.processes import Processes\n"
        f"with Processes(Path({str(tmp_path)!r})) as processes:\n"
        f"    processes.start('parent', {PARENT!r}, os.environ)\n"
        "    processes._running['parent'].wait()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    grandchild = int((tmp_path / "parent.log").read_text().split()[1])
    assert not alive(grandchild)


def test_somebody_elses_process_goes_on(tmp_path):
    with subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL) as other:
        with Processes(tmp_path) as processes:
            processes.start("one", SLEEP, os.environ)
        assert other.poll() is None
        other.kill()


def test_killing_the_starter_ends_its_processes(tmp_path):
    code = (
        "import os, time; from pathlib import Path\n"
        "from federator.deploy.local.processes import Processes\n"
        f"with Processes(Path({str(tmp_path)!r})) as processes:\n"
        f"    processes.start('one', {SLEEP!r}, os.environ)\n"
        "    print(processes.pid('one'), flush=True); time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    wait_for(tmp_path / "one.log", "up")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + 60
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_a_process_that_ended_is_started_again_and_goes_on_in_its_log(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start("one", [sys.executable, "-c", "print('up')"], os.environ)
        processes._running["one"].wait()
        assert processes.ended("one") == 0
        processes.restart("one")
        processes._running["one"].wait()
    assert (tmp_path / "one.log").read_text() == "up\nup\n"


def test_a_log_can_be_quoted(tmp_path):
    with Processes(tmp_path) as processes:
        processes.start("one", [sys.executable, "-c", "print('a\\nb\\nc')"], os.environ)
        wait_for(tmp_path / "one.log", "c")
        assert processes.tail("one", 2) == "b\nc"
