"""The server's list of sites follows the folder of keys."""

import os
import shutil

import pytest

from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import free_port, wait_for
from federator.runtime.control.control_api import Control, environment, program
from federator.runtime.control.process import Register
from federator.runtime.keys import site_key


@pytest.fixture(scope="module")
def superlink(tmp_path_factory):
    folder, address = tmp_path_factory.mktemp("superlink"), f"127.0.0.1:{free_port()}"
    with Processes(folder) as processes:
        host, port = address.split(":")
        command = [program("flower-superlink"), "--insecure", "--host", host, "--port", port]
        processes.start("superlink", command, environment(folder, address))
        wait_for(f"http://{address}/health", processes)
        yield address


@pytest.fixture
def control(superlink, monkeypatch):
    # A proxy of the machine's is not for the server's own network.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    control = Control(superlink, None)
    yield control
    for known in control.admitted():
        control.lock_out(known.node_id)
    control.close()
    assert "no_proxy" not in os.environ or os.environ["no_proxy"] != "*"


@pytest.fixture
def folder(tmp_path):
    for name in ("north", "south"):
        commit(tmp_path, name)
    return tmp_path


def commit(folder, name):
    key = site_key.make(folder / f"{name}.key").public_key()
    (folder / f"{name}.pub").write_text(site_key.line(key, name) + "\n")


def names(control):
    return sorted(known.name for known in control.admitted())


def test_keys_that_are_committed_are_admitted(control, folder):
    register = Register(control, folder)
    register.look()
    assert names(control) == ["north", "south"]
    commit(folder, "west")
    register.look()
    register.look()
    assert names(control) == ["north", "south", "west"]


def test_keys_that_are_removed_are_locked_out_at_the_second_look(control, folder):
    register = Register(control, folder)
    register.look()
    (folder / "south.pub").rename(folder / "south.away")
    register.look()
    assert names(control) == ["north", "south"]
    register.look()
    assert names(control) == ["north"]


def test_a_file_that_is_away_for_a_moment_is_no_removal(control, folder):
    register = Register(control, folder)
    register.look()
    (folder / "south.pub").rename(folder / "south.away")
    register.look()
    (folder / "south.away").rename(folder / "south.pub")
    register.look()
    register.look()
    assert names(control) == ["north", "south"]


def test_a_new_key_takes_the_place_of_the_old_one(control, folder):
    register = Register(control, folder)
    register.look()
    before = {known.node_id for known in control.admitted()}
    (folder / "south.key").unlink()
    commit(folder, "south")
    register.look()
    register.look()
    assert names(control) == ["north", "south"]
    assert len(before & {known.node_id for known in control.admitted()}) == 1


def test_a_folder_that_is_gone_locks_nobody_out(control, folder, caplog):
    register = Register(control, folder)
    register.look()
    shutil.rmtree(folder)
    for _ in range(3):
        register.look()
    assert names(control) == ["north", "south"]
    assert caplog.text.count("no keys: is it the right folder? The 2 that were admitted") == 1
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_the_last_key_that_was_removed_on_purpose_is_locked_out(control, folder):
    register = Register(control, folder)
    register.look()
    for path in folder.glob("*.pub"):
        path.unlink()
    (folder / site_key.NOBODY).touch()
    register.look()
    assert names(control) == ["north", "south"]
    register.look()
    assert names(control) == []


def test_a_server_without_keys_waits_for_the_first(control, tmp_path, caplog):
    caplog.set_level("INFO", "federator")
    register = Register(control, tmp_path)
    for _ in range(2):
        register.look()
    (record,) = [one for one in caplog.records if one.name == "federator"]
    assert record.levelname == "INFO"
    assert "yet: waiting for the first one" in record.message


def test_a_broken_key_is_named_and_harms_no_other(control, folder, caplog):
    (folder / "west.pub").write_text("ecdsa-sha2-nistp384 AAAA\n")
    register = Register(control, folder)
    for _ in range(3):
        register.look()
    assert names(control) == ["north", "south"]
    assert caplog.text.count("west.pub: is not a public key") == 1


def test_a_key_that_was_removed_cannot_come_back(control, folder, caplog):
    register = Register(control, folder)
    register.look()
    (folder / "south.pub").rename(folder / "south.away")
    register.look()
    register.look()
    (folder / "south.away").rename(folder / "south.pub")
    register.look()
    assert names(control) == ["north"]
    assert "site south has to make a new one" in caplog.text
