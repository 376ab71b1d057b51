"""Processes that are forked from one that has imported what they need."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from fixtures.processes import alive, wait_for

from federator.deploy.local.forks import Forks
from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.worker.sandbox import isolation

# A module that the server imports. What runs is then not a command of the product's, but tells
# what a process is like.
LOOK = """\
import json, os, signal, socket, subprocess, sys
from pathlib import Path
from federator.runtime import __main__ as runtime

imported_by = os.getpid()


def look(arguments):
    what, *rest = arguments
    if what == "wait":
        print("up", flush=True)
        signal.pause()
    if what == "leave":
        left = subprocess.Popen(["sleep", "600"], start_new_session=True)
        print("left", left.pid, flush=True)
        return 0
    if what == "fail":
        raise KeyError("what went wrong")
    try:
        Path(rest[0], "new").touch()
    except OSError as error:
        print(error.strerror, file=sys.stderr)
    print(json.dumps({
        "imported": imported_by not in (os.getpid(), os.getppid()),
        "environment": dict(os.environ),
        "network": [name for _, name in socket.if_nameindex()],
        "input": sys.stdin.read(),
        "leads": os.getsid(0) == os.getpid(),
    }))
    return 7


runtime.main = look
"""


@pytest.fixture
def env(tmp_path):
    (tmp_path / "look.py").write_text(LOOK)
    return {**os.environ, "PYTHONPATH": str(tmp_path), "ONLY_THE_SERVER": "has this"}


@pytest.fixture
def processes(tmp_path):
    with Processes(tmp_path / "logs", grace=0.5) as started:
        yield started


@pytest.fixture
def forks(processes, env):
    return Forks(processes, "forks", ["look"], env)


def ended(processes, name):
    """Return a process's exit status, when it has ended."""
    while (status := processes.ended(name)) is None:
        time.sleep(0.02)
    return status


def test_a_process_has_what_was_imported_and_an_environment_of_its_own(processes, forks, tmp_path):
    forks.start("one", ["look", str(tmp_path)], {"PATH": os.environ["PATH"], "OWN": "1"})
    assert ended(processes, "one") == 7
    told = json.loads(processes.tail("one", 1))
    assert told["imported"] and told["leads"] and told["input"] == ""
    environment = told["environment"]
    assert environment["OWN"] == "1" and "ONLY_THE_SERVER" not in environment
    assert (tmp_path / "new").exists()


def test_a_confined_process_has_no_network_and_cannot_write(processes, forks, tmp_path):
    if isolation.probe(tmp_path) != (True, True):
        pytest.skip("this machine forbids namespaces")
    forks.start("one", ["look", str(tmp_path)], dict(os.environ), [tmp_path])
    assert ended(processes, "one") == 7
    error, told = processes.tail("one", 2).splitlines()
    assert error == "Read-only file system" and not (tmp_path / "new").exists()
    assert json.loads(told)["network"] == ["lo"]


def test_an_exception_is_in_its_own_log_and_the_next_process_starts(processes, forks, tmp_path):
    forks.start("one", ["fail"], dict(os.environ))
    assert ended(processes, "one") == 1
    assert processes.tail("one", 1) == "KeyError: 'what went wrong'"
    forks.start("two", ["look", str(tmp_path)], dict(os.environ))
    assert ended(processes, "two") == 7
    processes.restart("one")
    assert ended(processes, "one") == 1
    assert processes.log("one").read_text().count("\nKeyError: ") == 2


def test_all_processes_end_on_leaving(tmp_path, env):
    with Processes(tmp_path / "logs", grace=5.0) as processes:
        forks = Forks(processes, "forks", ["look"], env)
        forks.start("one", ["wait"], dict(os.environ))
        wait_for(processes.log("one"), "up")
        pids = [processes.pid(name) for name in ("one", "forks")]
        assert all(map(alive, pids)) and processes.ended("one") is None
        began = time.monotonic()
    assert not any(map(alive, pids)) and time.monotonic() - began < 4, "they were asked to end"


def test_what_a_process_leaves_behind_ends_too(tmp_path, env):
    with Processes(tmp_path / "logs") as processes:
        forks = Forks(processes, "forks", ["look"], env)
        forks.start("one", ["leave"], dict(os.environ))
        left = int(wait_for(processes.log("one"), "left").split()[1])
        assert ended(processes, "one") == 0 and alive(left)
    assert not alive(left)


def test_killing_the_starter_ends_them(tmp_path, env):
    code = (
        "import os, time; from pathlib import Path\n"
        "from federator.deploy.local.forks import Forks\n"
        "from federator.deploy.local.processes import Processes\n"
        f"with Processes(Path({str(tmp_path / 'logs')!r})) as processes:\n"
        "    Forks(processes, 'forks', ['look'], os.environ).start('one', ['wait'], os.environ)\n"
        "    print(processes.pid('one'), processes.pid('forks'), flush=True); time.sleep(600)\n"
    )
    starter = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env)
    pids = [int(word) for word in starter.stdout.readline().split()]
    wait_for(tmp_path / "logs" / "one.log", "up")
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + 60
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def test_a_server_that_cannot_import_says_so(processes, env):
    forks = Forks(processes, "forks", ["no_such_module"], env)
    with pytest.raises(RunError, match=r"process forks ended:\n(.*\n)*.*no_such_module"):
        forks.start("one", ["look"], {})
