"""Commands that run without a network, and cannot write to a folder."""

import os
import subprocess
import sys

import pytest

from federator.runtime.worker.sandbox import isolation

PROGRAM = """
import os, socket
from pathlib import Path

print([name for _, name in socket.if_nameindex()], os.getuid(), Path("FOLDER/old").read_text())
listening = socket.create_server(("127.0.0.1", 0))
socket.create_connection(listening.getsockname())
for path in ("FOLDER/new", "FOLDER/deep/new", "FOLDER/old"):
    try:
        Path(path).write_text("written")
    except OSError as error:
        print(error.strerror)
Path("ELSEWHERE").write_text("written")
"""


@pytest.fixture
def folder(tmp_path):
    """Return a folder that can be made read-only on this machine; its name is an awkward one."""
    folder = tmp_path / "the site's data, ä"
    (folder / "deep").mkdir(parents=True)
    (folder / "old").write_text("before")
    if isolation.probe(folder) != (True, True):
        pytest.skip("this machine forbids namespaces")
    return folder


def test_a_command_reads_a_folder_writes_elsewhere_and_speaks_to_itself(folder, tmp_path):
    program = PROGRAM.replace("FOLDER", str(folder)).replace("ELSEWHERE", f"{tmp_path}/file")
    command = isolation.command([folder], [sys.executable, "-c", program])
    said = subprocess.check_output(command, text=True).splitlines()
    assert said == [f"['lo'] {os.getuid()} before", *["Read-only file system"] * 3]
    assert (tmp_path / "file").read_text() == "written"
    assert not isolation.is_read_only(folder), "for others it is what it was"


MOUNTS = """
import os, subprocess, sys
from pathlib import Path
from federator.runtime.worker.sandbox import isolation

folder = Path(sys.argv[1])
mounts = isolation._CLONE_NEWNS | (isolation._CLONE_NEWUSER if os.getuid() else 0)
isolation._enter(mounts, [])
subprocess.run(["mount", "-t", "tmpfs", "none", folder / "deep"], check=True)
touch = ["touch", str(folder / "deep" / "new")]
sys.exit(subprocess.run(isolation.command([folder], touch), stderr=sys.stdout).returncode)
"""


def test_what_is_mounted_in_a_folder_is_read_only_too(folder):
    command = [sys.executable, "-c", MOUNTS, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "Read-only file system" in done.stdout


def test_where_a_machine_forbids_one_of_the_two_the_other_is_done(folder):
    print_names = "import socket; print([name for _, name in socket.if_nameindex()])"
    command = isolation.command([folder / "absent"], [sys.executable, "-c", print_names])
    assert subprocess.check_output(command, text=True) == "['lo']\n"


def test_the_exit_status_is_the_commands(folder):
    command = isolation.command([folder], [sys.executable, "-c", "raise SystemExit(7)"])
    assert subprocess.run(command).returncode == 7
