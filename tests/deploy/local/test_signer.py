"""The signer of a local run signs what is run, with a key that is in no file."""

import os
import stat
import time

import pytest
from fakes.signer import rounds, train

from federator.deploy.local import signer
from federator.deploy.local.processes import Processes
from federator.errors import RunError
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.protocol.instructions import verify
from federator.runtime.protocol.signing.connection import SignerClient


def test_a_local_run_has_its_order_and_its_key_in_the_signer_alone(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Processes(tmp_path / "logs") as processes:
        signer.start(rounds(1, 2), scratch, processes, os.environ)
        known = [CoordinatorKey.read(signer.public_key(scratch, processes))]
        client, asked = SignerClient(signer.socket(scratch)), train(1)
        (signature,) = client.sign([asked])
        verify(known, signature, asked.text, asked.run_id, asked.node, asked.digest)
        with pytest.raises(RunError, match="round 3 is not one of the order's"):
            client.sign([train(3)])
        with pytest.raises(RunError, match="it is not asked for this here"):
            client.give(rounds())
        written = {path.name: path for path in scratch.rglob("*") if not path.is_dir()}
        assert written.keys() == {"signer.socket", "orders.jsonl", "signed.txt"}
        socket = written.pop("signer.socket").stat().st_mode
        assert stat.S_ISSOCK(socket) and not socket & 0o007
        assert not any(b"PRIVATE" in path.read_bytes() for path in written.values())


def test_a_signer_that_does_not_start_is_told_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr("federator.runtime.protocol.signing.connection._PATIENCE", 0.5)
    with Processes(tmp_path / "logs") as processes:
        processes.start(signer.NAME, ["sh", "-c", "echo no Python here"], os.environ)
        while processes.ended(signer.NAME) is None:
            time.sleep(0.01)
        with pytest.raises(RunError, match="the signer did not start:\nno Python here"):
            signer.public_key(tmp_path, processes)
