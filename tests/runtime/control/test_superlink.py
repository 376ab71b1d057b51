"""A SuperLink goes on with the database of another version of Flower, or says why not.

``state-flwr-1.41.0.sql`` is what flwr 1.41.0 left after a round of two sites, as SQL.
"""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import flwr
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from federator.deploy.local.processes import Processes
from federator.deploy.local.superlink import free_port, wait_for
from federator.errors import InputError
from federator.runtime.control.control_api import Control, environment
from federator.runtime.control.superlink import take_over
from federator.runtime.keys import site_key
from federator.runtime.link.fleet import connect

OLD = Path(__file__).with_name("state-flwr-1.41.0.sql").read_text()
OLD_REVISION, OLD_NODE = "d90a2f91f23c", 2898942088028771645
COMMAND = [sys.executable, "-m", "federator.runtime", "superlink"]


@pytest.fixture
def database(tmp_path):
    """A database of flwr 1.41.0."""
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as opened:
        opened.executescript(OLD)
    return path


def change(database, statement, *values):
    with closing(sqlite3.connect(database)) as opened, opened:
        opened.execute(statement, values)


def revision(database):
    with closing(sqlite3.connect(database)) as opened:
        return opened.execute("SELECT version_num FROM alembic_version").fetchone()[0]


def test_the_database_of_an_older_version_is_taken_over_with_the_sites_in_it(tmp_path, database):
    key = site_key.make(tmp_path / "north.key")
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    change(database, "UPDATE node SET public_key = ? WHERE name = 'north'", pem)
    address = f"127.0.0.1:{free_port()}"
    host, port = address.split(":")
    with Processes(tmp_path / "logs") as processes:
        command = [*COMMAND, f"--database={database}", "--insecure", "--host", host, "--port", port]
        processes.start("superlink", command, environment(tmp_path, address))
        wait_for(f"http://{address}/health", processes)
        control = Control(address, None)
        admitted = {one.name: one for one in control.admitted()}
        control.close()
        assert admitted.keys() == {"north", "south"}
        assert admitted["north"].key == key.public_key()
        with connect(address, None, tmp_path / "north.key", 10.0, insecure=True) as entered:
            assert entered.node_id == admitted["north"].node_id == OLD_NODE
    assert revision(database) != OLD_REVISION
    assert revision(tmp_path / f"state.db.before-{flwr.__version__}") == OLD_REVISION
    assert (tmp_path / "state.db.flwr-version").read_text() == f"{flwr.__version__}\n"
    take_over(database)  # once more, as any other start


def test_a_database_that_is_new_needs_no_copy(tmp_path):
    take_over(tmp_path / "state.db")
    (tmp_path / "empty.db").touch()
    take_over(tmp_path / "empty.db")
    assert not list(tmp_path.glob("*.before-*"))


@pytest.mark.parametrize(
    ("noted", "named"), [("1.99.0", "flwr 1.99.0"), (None, "a newer version of Flower")]
)
def test_the_database_of_a_newer_version_is_refused_and_left_alone(database, noted, named):
    change(database, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    note = database.with_name("state.db.flwr-version")
    if noted:
        note.write_text(f"{noted}\n")
    before = database.read_bytes()
    command = [*COMMAND, f"--database={database}", "--insecure"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ.copy())
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{named} wrote it, which flwr {flwr.__version__} cannot read" in done.stderr
    assert f"images of {named}" in done.stderr and 'do not remove the volume "state"' in done.stderr
    assert database.read_bytes() == before
    assert (note.read_text().strip() if note.exists() else None) == noted


@pytest.mark.parametrize("content", [b"no database" * 100, None], ids=["a text", "a stranger's"])
def test_what_is_no_superlinks_database_is_refused(tmp_path, content):
    path = tmp_path / "state.db"
    if content is not None:
        path.write_bytes(content)
    else:
        change(path, "CREATE TABLE patients (name TEXT)")
    with pytest.raises(InputError, match="it is not the database of a SuperLink"):
        take_over(path)
    assert not path.with_name("state.db.flwr-version").exists()
