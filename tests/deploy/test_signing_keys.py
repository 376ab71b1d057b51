"""The coordinator's signing keys: exchanged for the next one, and replaced."""

import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fixtures.small_notebook import federate
from typer.testing import CliRunner

from federator import cli
from federator.deploy import signing_keys
from federator.deploy.certificates import issue
from federator.deploy.provision import provision
from federator.deploy.signing_keys import SigningKeys, as_setting
from federator.errors import InputError
from federator.runtime.protocol.instructions import UnsignedInstruction, sign, verify


@pytest.fixture
def federation(tmp_path):
    made = federate(tmp_path, "server: fl.example.org\n")
    provision(made)
    return made


@pytest.fixture
def keys(federation):
    return SigningKeys.of(federation)


def private(federation, name="coordinator.key"):
    return load_pem_private_key((federation.folder / "keys" / name).read_bytes(), None)


def public(federation, name="coordinator.pub"):
    return (federation.folder / "public" / name).read_text()


def follows(known, key):
    """Tell whether a site that knows these keys follows what a key has signed."""
    try:
        verify(known, sign(key, "text", 1, 2, ""), "text", 1, 2, "")
    except UnsignedInstruction:
        return False
    return True


def test_between_the_two_steps_of_an_exchange_sites_follow_either_key(federation, keys):
    before, old = keys.known(), private(federation)
    made = keys.add()
    both, following = keys.known(), private(federation, "coordinator.next.key")
    assert both == (*before, made)
    assert private(federation).public_key() == old.public_key(), "the present one signs still"
    assert [follows(before, key) for key in (old, following)] == [True, False]
    assert [follows(both, key) for key in (old, following)] == [True, True]
    assert keys.retire() == made
    after = keys.known()
    assert after == (made,)
    assert private(federation).public_key() == following.public_key()
    assert [follows(after, key) for key in (old, following)] == [False, True]
    assert [follows(both, key) for key in (old, following)] == [True, True]
    assert sorted(path.name for path in (federation.folder / "keys").glob("coord*")) == [
        "coordinator.key"
    ]
    assert public(federation, "coordinator.former").split() == [before[0].write()]
    assert provision(federation).written == []


def test_a_leaked_key_is_followed_by_nobody_who_has_the_new_file(federation, keys):
    leaked = private(federation)
    keys.add()
    leaked_too = private(federation, "coordinator.next.key")
    assert len(keys.replace()) == 2
    assert [follows(keys.known(), key) for key in (leaked, leaked_too)] == [False, False]
    assert follows(keys.known(), private(federation))
    assert not (federation.folder / "keys" / "coordinator.next.key").exists()
    assert not (federation.folder / "public" / "coordinator.former").exists()
    with pytest.raises(InputError, match="there is no next key"):
        keys.retire()


def test_a_lost_key_is_replaced_on_the_server_only(federation):
    (lost,) = signing_keys.published(federation)
    (federation.folder / "keys" / "coordinator.key").unlink()
    assert SigningKeys.of(federation, lost=True).replace() == (lost,)
    assert follows(signing_keys.published(federation), private(federation))
    shutil.rmtree(federation.folder / "keys")
    with pytest.raises(InputError, match="this machine does not sign"):
        SigningKeys.of(federation, lost=True)


def test_a_locked_key_is_of_no_use_without_its_passphrase(federation, keys, tmp_path):
    key, words = private(federation).public_key(), tmp_path / "passphrase"
    words.write_text("six words of a list by dice\n")
    done = CliRunner().invoke(cli.app, ["key", "lock", str(federation.folder), str(words)])
    assert done.exit_code == 0 and "KEY_PASSPHRASE" in done.output
    content = (federation.folder / "keys" / "coordinator.key").read_bytes()
    with pytest.raises(TypeError, match="encrypted"):
        load_pem_private_key(content, None)
    with pytest.raises(ValueError):
        load_pem_private_key(content, b"six words of another list")
    unlocked = load_pem_private_key(content, b"six words of a list by dice")
    assert unlocked.public_key() == key
    assert provision(federation).written == []
    keys.add()
    assert keys.retire() == keys.known()[0], "the next key is not locked, until it is"
    assert follows(keys.known(), private(federation))


@pytest.mark.parametrize(
    ("content", "said"), [("short\n", "at least 20 characters"), (None, "cannot be read")]
)
def test_a_passphrase_that_is_none_is_told(federation, tmp_path, content, said):
    if content is not None:
        (tmp_path / "passphrase").write_text(content)
    command = ["key", "lock", str(federation.folder), str(tmp_path / "passphrase")]
    done = CliRunner().invoke(cli.app, command)
    assert done.exit_code == 2 and said in done.output
    assert private(federation)


def test_there_is_one_next_key_at_a_time(keys):
    keys.add()
    with pytest.raises(InputError, match="there is a next key already"):
        keys.add()


def test_an_exchange_that_was_broken_off_can_be_finished(federation, keys, monkeypatch):
    keys.add()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            keys.retire()
    (federation.folder / "public" / "coordinator.pub").write_text(keys.known()[-1].write())
    with pytest.raises(InputError, match=r"is not the key of .*\n.*retire"):
        provision(federation)
    kept = keys.retire()
    assert keys.known() == (kept,)
    assert follows(keys.known(), private(federation))


def test_a_machine_without_the_key_does_not_sign(federation):
    (federation.folder / "keys" / "coordinator.key").unlink()
    with pytest.raises(InputError, match="this machine does not sign"):
        SigningKeys.of(federation)


def test_another_kind_of_key_is_told(federation):
    (federation.folder / "keys" / "coordinator.key").write_bytes(issue((), 1).key)
    with pytest.raises(InputError, match="is not an Ed25519 key"):
        provision(federation)


def test_a_key_that_has_ended_is_in_no_new_file(federation, keys):
    present, following = keys.known()[0], keys.add()
    assert as_setting(public(federation)) == f"{present.write()} {following.write()}"
    ended = replace(present, last_day=date(2020, 1, 1))
    with pytest.raises(InputError, match=f"{present.name} ended on 2020-01-01"):
        as_setting(f"{ended.write()}\n{following.write()}\n")


def test_a_damaged_file_of_keys_is_named(federation):
    path = federation.folder / "public" / "coordinator.pub"
    path.write_text("nothing\n")
    with pytest.raises(InputError, match=r"coordinator\.pub: 'nothing' is no key"):
        signing_keys.published(federation)
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"coordinator\.pub: is no file of keys"):
        signing_keys.published(federation)
    path.unlink()
    with pytest.raises(InputError, match=r"coordinator\.pub is missing"):
        signing_keys.published(federation)


def test_the_commands(federation):
    def run(name):
        done = CliRunner().invoke(cli.app, ["key", name, str(federation.folder)])
        assert done.exit_code == 0, done.output
        return done.output

    (first,) = signing_keys.published(federation)
    assert run("list") == f"{first.name} signs, until {first.last_day}\n"
    assert "federator key retire" in run("add")
    assert re.findall(r"(signs|is the next one), until", run("list")) == [
        "signs",
        "is the next one",
    ]
    second = signing_keys.published(federation)[1]
    assert run("retire").startswith(f"{second.name} signs, when what holds the key")
    assert f"takes the place of {second.name}" in run("replace")
    today = datetime.now(UTC).date()
    ending = replace(signing_keys.published(federation)[0], last_day=today)
    (federation.folder / "public" / "coordinator.pub").write_text(ending.write())
    assert f"the key {ending.name} ends in 0 days" in run("list")
