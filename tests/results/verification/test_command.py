"""The command ``federator verify``, as the page on results has it."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.proven_run import COORDINATOR, SITES, write
from typer.testing import CliRunner

from federator.cli import app
from federator.runtime.keys import site_key
from federator.runtime.keys.coordinator_key import CoordinatorKey

PAGE = (Path(__file__).parents[3] / "docs" / "results.md").read_text()
ALONE, WITH_KEYS, WITH_RECORD = re.findall(r"^federator (verify .*)$", PAGE, re.MULTILINE)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with a run's results, the public keys, and a record that a site handed over."""
    run = write(tmp_path / "results" / "breast-cancer")
    shutil.copy(run / "records" / "north" / "record.jsonl", tmp_path / "hospital-a.jsonl")
    folder = tmp_path / "compose" / "breast-cancer"
    for name in ("public", "sites"):
        (folder / name).mkdir(parents=True)
    public = CoordinatorKey.of(COORDINATOR.public_key()).write()
    (folder / "public" / "coordinator.pub").write_text(public)
    for site, key in SITES.items():
        (folder / "sites" / f"{site}.pub").write_text(site_key.line(key.public_key(), site))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def told(command, status=0):
    result = CliRunner().invoke(app, shlex.split(command))
    assert result.exit_code == status, result.output
    return result.output


@pytest.mark.usefixtures("project")
def test_a_run_is_checked_by_its_own_keys_by_others_and_with_a_site_s_record():
    assert "2026-11-28-001 is as it was written: 18 lines, 8 receipts of 2 sites" in told(ALONE)
    assert "by the keys that the run itself names" in told(ALONE)
    assert "by the keys in the federation's folder" in told(WITH_KEYS)
    assert "is as it was written" in told(WITH_RECORD.replace("hospital-a=", "north="))


def test_what_was_changed_is_named_and_the_status_is_1(project):
    journal = project / "results" / "breast-cancer" / "2026-11-28-001" / "rounds.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"FedAvg", b"FedAvh"))
    said = told(ALONE, status=1)
    assert "rounds.jsonl, line 1: does not fit to the lines before" in said
    assert "NOT as it was written" in said


def test_keys_that_are_others_are_told(project):
    other = CoordinatorKey.of(Ed25519PrivateKey.generate().public_key()).write()
    keys = project / "compose" / "breast-cancer" / "public" / "coordinator.pub"
    keys.write_text(other)
    assert "names a key that is not the coordinator's" in told(WITH_KEYS, status=1)


@pytest.mark.usefixtures("project")
def test_a_mistake_is_told_in_words():
    assert "cannot be read" in told("verify results", status=1)
    assert "is not SITE=FILE" in told(f"{ALONE} --record north", status=2)
