"""What a restricted process may ask of the kernel: all that trains a model, and no more."""

import json
import platform
import subprocess
import sys

import pytest

from federator.runtime.worker.sandbox.system_calls import REFUSED

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="filters are for x86-64")
RESTRICT = (
    "from federator.runtime.worker.sandbox import system_calls\nassert system_calls.restrict()\n"
)


def restricted(program, *arguments):
    """Run a program in a process that is restricted first; return what it prints as JSON."""
    command = [sys.executable, "-c", RESTRICT + program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


CALLS = """
import ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    ctypes.set_errno(0)
    return [libc.syscall(number, *arguments), ctypes.get_errno()]
numbers = json.loads(sys.argv[1])
# Without arguments that mean anything: what is not refused fails otherwise, and does nothing.
print(json.dumps({name: call(number, *[-1] * 6) for name, number in numbers.items()}))
"""


def test_calls_of_administrators_and_debuggers_are_refused():
    answers = restricted(CALLS, json.dumps(REFUSED))
    assert answers == {name: [-1, 1] for name in REFUSED}, "each with EPERM"


def test_the_numbers_are_those_of_the_kernel():
    """Against the C library's own header, where it is installed."""
    source = "".join(f"#ifdef SYS_{name}\n{name} SYS_{name}\n#endif\n" for name in REFUSED)
    try:
        done = subprocess.run(
            ["cc", "-E", "-P", "-include", "sys/syscall.h", "-"],
            input=source,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no C compiler here")
    words = dict(line.split() for line in done.stdout.splitlines() if line.split()[0] in REFUSED)
    found = {name: int(number) for name, number in words.items() if number.isdigit()}
    assert found == {name: REFUSED[name] for name in found} and len(found) > 30


SOCKETS = """
import json, socket
def opens(family, kind):
    try:
        socket.socket(family, kind).close()
        return "opened"
    except OSError as error:
        return error.errno
families = {"unix": 1, "inet": 2, "inet6": 10, "packet": 17, "alg": 38, "vsock": 40, "tipc": 30}
print(json.dumps({name: opens(family, socket.SOCK_STREAM) for name, family in families.items()}
    | {"netlink": opens(16, socket.SOCK_RAW), "names": len(socket.if_nameindex()) > 0}))
"""


def test_sockets_are_of_this_machine_or_of_the_internet_which_the_worker_has_not():
    answers = restricted(SOCKETS)
    refused = {name for name, answer in answers.items() if answer == 97}  # EAFNOSUPPORT
    assert refused == {"packet", "alg", "vsock", "tipc"}
    assert answers["unix"] == answers["inet"] == answers["netlink"] == "opened" and answers["names"]


INHERITED = """
import ctypes, json, os, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def refused():
    return libc.unshare(0x10000000) == -1 and ctypes.get_errno() == 1
found = [refused()]
thread = threading.Thread(target=lambda: found.append(refused()))
thread.start(); thread.join()
code = "import ctypes; raise SystemExit(7 if ctypes.CDLL(None).unshare(0x10000000) == -1 else 0)"
found.append(subprocess.run([sys.executable, "-c", code]).returncode == 7)
if (child := os.fork()) == 0:
    os._exit(7 if refused() else 0)
found.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7)
print(json.dumps(found))
"""


def test_threads_and_children_are_restricted_too():
    assert restricted(INHERITED) == [True] * 4


def test_a_thread_that_was_there_before_is_restricted_too():
    program = (
        "import ctypes, threading\n"
        "go, found = threading.Event(), []\n"
        "def look():\n"
        "    go.wait()\n"
        "    found.append(ctypes.CDLL(None).unshare(0x10000000))\n"
        "thread = threading.Thread(target=look)\n"
        "thread.start()\n" + RESTRICT + "go.set(); thread.join(); assert found == [-1]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


NAMESPACES = """
import ctypes, json, os
libc = ctypes.CDLL(None, use_errno=True)
found = {}
for name, flag in {"user": 0x10000000, "network": 0x40000000, "mounts": 0x20000}.items():
    ctypes.set_errno(0)
    child = libc.syscall(56, flag | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    found[name] = [child, ctypes.get_errno()]
print(json.dumps(found))
"""


def test_no_child_gets_namespaces_of_its_own():
    assert restricted(NAMESPACES) == {name: [-1, 1] for name in ("user", "network", "mounts")}


TRAINING = """
import json, multiprocessing, socket, tempfile
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
rows = TensorDataset(torch.randn(64, 4), torch.randint(0, 2, (64,)))
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters())
for batch, target in DataLoader(rows, batch_size=16, num_workers=2):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(batch), target).backward()
    optimizer.step()
with tempfile.TemporaryFile() as file:
    torch.save(model.state_dict(), file)
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname())
with multiprocessing.get_context("spawn").Pool(1) as pool:
    squares = pool.map(abs, [-1, 2])
print(json.dumps([squares, float(np.linalg.det(np.eye(50)))]))
"""


def test_training_with_loaders_of_several_processes_works():
    assert restricted(TRAINING) == [[1, 2], 1.0]


def test_without_the_filter_this_machine_answers_otherwise():
    """So the tests above show the filter, and not what the machine forbids anyway."""
    command = [sys.executable, "-c", CALLS, json.dumps(REFUSED)]
    answers = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert sum(answer != [-1, 1] for answer in answers.values()) > 10


STARTED = """
import runpy, sys
from pathlib import Path
sys.argv = ["federator.runtime", sys.argv[1], "--help"]
try:
    runpy.run_module("federator.runtime", run_name="__main__", alter_sys=True)
except SystemExit:
    pass
(line,) = [one for one in Path("/proc/self/status").read_text().splitlines() if "_filters" in one]
print(line.split()[1])
"""


def filters(command):
    """How many filters a command of the containers has when it has started."""
    done = subprocess.run([sys.executable, "-c", STARTED, command], capture_output=True, check=True)
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("command", ["doctor", "check", "initial", "strategy"])
def test_each_other_command_that_runs_the_authors_code_is_restricted_too(command):
    assert filters(command) == filters("keygen") + 1
