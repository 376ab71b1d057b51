"""What a site's own command says of what the site does, did and sent."""

import json
import shutil

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.proven_run import NAME, SITES, ProvenRun

from federator.errors import InputError
from federator.runtime.__main__ import main as runtime
from federator.runtime.link import status
from federator.runtime.link.policy.ledger import Ledger
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.privacy.settings import PrivacySettings


@pytest.fixture
def made(tmp_path):
    """A run whose second site failed once, by the site's own folder."""
    made = ProvenRun(tmp_path / "run")
    made.rounds(1, 2)
    made.ask("train", 3, answer=Failure("code", "ValueError", "task.py", 31))
    return made


@pytest.fixture
def site(tmp_path):
    """The folder of a site's key and record."""
    pem = SITES["north"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "site.key").write_bytes(pem)
    Ledger(tmp_path / "site.asked").add("a" * 64, ["rounds", "val"])
    return tmp_path


def told(made, site, capsys, *arguments):
    """The exit status, and what is printed, as the record is now."""
    shutil.copy(made.path.parent / "north.recorded", site / "site.recorded")
    shutil.copy(made.path / "records" / "north" / "record.jsonl", site)
    code = runtime(["status", f"--records={site}", f"--key={site / 'site.key'}", *arguments])
    return code, capsys.readouterr().out


def test_what_it_did_and_sent_is_told(made, site, capsys):
    code, said = told(made, site, capsys)
    now, last, run, sent, failed, policy, record = said.splitlines()
    assert code == 0 and now.startswith("now:     waits for instructions")
    assert "train, round 3, model federation, run" in last and "code (type ValueError" in last
    assert run.startswith(f"run:     {NAME}, 20")
    assert run.endswith("answered 1 join, 3 train, 1 evaluate; 1 failed")
    assert sent.endswith("sent 2 updates, of 24 bytes in all")
    assert failed.removeprefix("failed:  ") == last.removeprefix("last:    ")
    assert policy.startswith("policy:  1 of 10000 rounds, 1 of 1500 evaluations of val")
    assert record.startswith("record:  the record is whole: 11 lines, 5 answers")


def test_what_it_was_asked_and_has_not_answered_yet_is_told(made, site, capsys):
    path = made.path / "records" / "north" / "record.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    (made.path.parent / "north.recorded").write_text("")
    _, said = told(made, site, capsys)
    assert f"now:     train, round 3, model federation, run {NAME}: asked at 20" in said
    assert "last:    " in said and "evaluate, round 2, model federation: left set sizes; " in said


def test_programs_read_the_same(made, site, capsys):
    code, said = told(made, site, capsys, "--json")
    fields = json.loads(said)
    assert code == 0 and fields["asked"] is None
    assert fields["runs"][NAME]["answers"] == {"join": 1, "train": 3, "evaluate": 1}
    assert fields["last"]["failure"]["line"] == 31 and fields["last"]["weights"] is None
    assert [one["round"] for one in fields["failed"]] == [3]


def test_a_record_that_was_changed_is_told(made, site, capsys):
    path = made.path / "records" / "north" / "record.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"trainset": 23', b'"trainset": 24', 1))
    code, said = told(made, site, capsys)
    assert code == 1 and "the record is NOT whole" in said


def test_what_privacy_was_spent_is_told(made, site, capsys):
    settings = PrivacySettings(4.0, 1e-6, 1.0, 1.1).write()
    code, said = told(made, site, capsys, f"--privacy={settings}")
    assert code == 0 and "privacy: epsilon 0.00 by 0 trainings" in said


def test_a_site_that_has_answered_nothing_is_told_what_to_do(site):
    with pytest.raises(InputError, match="wait for the first answer"):
        status.main([f"--records={site / 'none'}", f"--key={site / 'site.key'}"])
