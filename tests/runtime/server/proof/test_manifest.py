"""A run's manifest: the hashes of its weights and of its journal, signed."""

import hashlib
import json

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.errors import RunError
from federator.runtime.chain import lines
from federator.runtime.protocol.signing.requests import is_manifest_signed, sign_manifest
from federator.runtime.server.journal import FILE, End, Round, append, has_ended, now
from federator.runtime.server.proof.manifest import NAME, Manifest, end
from federator.runtime.server.storage.checkpoints import RunFolder

KEY = Ed25519PrivateKey.generate()


@pytest.fixture
def run(tmp_path):
    folder = RunFolder(tmp_path / "2026-11-28-001")
    append(folder.path, Round(time=now(), model="federation", round=1, seconds=1.0, sites={}))
    folder.finish(folder.save(1, {"w": np.zeros(3, np.float32)}))
    return folder.path


def ended(run, sign=lambda name, digest: sign_manifest(KEY, name, digest)):
    end(run, End(time=now(), state="finished"), {"federation": "demo"}, sign)
    return Manifest.read((run / NAME).read_bytes())


def test_it_names_every_file_of_weights_and_the_last_line_of_the_journal(run):
    manifest = ended(run)
    assert manifest.fields["federation"] == "demo"
    assert set(manifest.fields["files"]) == {"model.safetensors", "round-001.safetensors"}
    for name, digest in manifest.fields["files"].items():
        assert hashlib.sha256((run / name).read_bytes()).hexdigest() == digest
    found = lines.read((run / FILE).read_bytes())
    assert manifest.fields["journal"] == {"lines": 2, "chain": found.chain}
    assert json.loads((run / NAME).read_text())["signature"] == manifest.signature


def test_it_is_signed_by_the_coordinator(run):
    manifest = ended(run)
    assert len(manifest.signature) == 88
    assert is_manifest_signed(KEY.public_key(), manifest.signature, run.name, manifest.digest)


def test_a_journal_ends_though_nobody_signs(run):
    def refuse(*_):
        raise RunError("no such run was ordered")

    with pytest.raises(RunError, match="ordered"):
        ended(run, refuse)
    assert has_ended(run) and not (run / NAME).exists()
    assert ended(run, None).signature == ""


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"a": 1}\n', b"\xff", b"[" * 10**5])
def test_another_file_is_no_manifest(content):
    assert Manifest.read(content) is None
