"""Whose key is let in."""

import shutil
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fixtures.small_notebook import federate
from typer.testing import CliRunner

from federator import cli
from federator.deploy import site_keys
from federator.errors import InputError
from federator.runtime.keys import site_key


@pytest.fixture
def federation(tmp_path):
    return federate(tmp_path)


def make(folder, name="site"):
    key = site_key.make(folder / f"{name}.key")
    path = folder / f"{name}.pub"
    path.write_text(site_key.line(key.public_key(), "whatever the site wrote") + "\n")
    return path


def test_a_site_s_key_is_kept_under_its_name(tmp_path, federation):
    given = make(tmp_path)
    assert site_keys.without_key(federation) == ["north", "south"]
    fingerprint = site_keys.add(federation, "north", given)
    kept = federation.folder / "sites" / "north.pub"
    assert site_key.read_public(kept) == site_key.read_public(given)
    assert kept.read_text().endswith(" north\n")
    assert site_keys.without_key(federation) == ["south"]
    if ssh_keygen := shutil.which("ssh-keygen"):
        shown = subprocess.run([ssh_keygen, "-lf", kept], capture_output=True, text=True).stdout
        assert fingerprint in shown
    site_keys.add(federation, "north", make(tmp_path, "new"))
    assert site_key.read_public(kept) != site_key.read_public(given)


def test_a_removed_site_has_no_key(tmp_path, federation):
    site_keys.add(federation, "north", make(tmp_path))
    site_keys.add(federation, "south", make(tmp_path, "other"))
    assert not site_keys.remove(federation, "north").exists()
    assert site_keys.nobody(federation) is None
    assert "north" in site_keys.without_key(federation)
    with pytest.raises(InputError, match="there is no key of site north"):
        site_keys.remove(federation, "north")


def test_the_last_removed_key_leaves_a_mark_that_a_new_one_takes_away(tmp_path, federation):
    site_keys.add(federation, "north", make(tmp_path))
    site_keys.remove(federation, "north")
    assert site_keys.nobody(federation) == federation.folder / "sites" / site_key.NOBODY
    site_keys.add(federation, "north", make(tmp_path, "new"))
    assert site_keys.nobody(federation) is None


def refuse(federation, site, path, message):
    with pytest.raises(InputError, match=message):
        site_keys.add(federation, site, path)
    assert not list((federation.folder / "sites").glob("*"))


def test_a_site_that_the_federation_does_not_have(tmp_path, federation):
    refuse(federation, "nort", make(tmp_path), r"no site nort\n    did you mean north")


def test_a_private_key_is_not_taken(tmp_path, federation):
    make(tmp_path)
    refuse(federation, "north", tmp_path / "site.key", r"is a private key\n    .* make a new one")


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()]
)
def test_a_key_of_another_kind(tmp_path, federation, key):
    path = tmp_path / "site.pub"
    path.write_bytes(key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH))
    refuse(federation, "north", path, "not a public key on the curve P-384")


@pytest.mark.parametrize("content", [b"", b"ecdsa-sha2-nistp384 AAAA", b"\xff\xfe"])
def test_what_is_no_key(tmp_path, federation, content):
    (tmp_path / "site.pub").write_bytes(content)
    refuse(federation, "north", tmp_path / "site.pub", "not a public key")
    refuse(
        federation, "north", tmp_path, r"cannot be read: Is a directory\n    a site's public key"
    )
    absent = r"absent.pub: there is no such file\n    save in a file what the site sent"
    refuse(federation, "north", tmp_path / "absent.pub", absent)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_key_as_an_editor_on_windows_saves_it(tmp_path, federation, encoding):
    given = make(tmp_path)
    text = given.read_text()
    given.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    site_keys.add(federation, "north", given)
    kept = (federation.folder / "sites" / "north.pub").read_text()
    assert kept.split()[:2] == text.split()[:2]


def test_two_sites_do_not_share_a_key(tmp_path, federation):
    given = make(tmp_path)
    site_keys.add(federation, "north", given)
    with pytest.raises(InputError, match="is the key of site north"):
        site_keys.add(federation, "south", given)


def test_the_commands(tmp_path, federation):
    folder, given = str(federation.folder), str(make(tmp_path))
    done = CliRunner().invoke(cli.app, ["site", "add", folder, "north", given])
    assert done.exit_code == 0
    assert done.output.startswith("north: SHA256:")
    assert "no key yet: south" in done.output
    done = CliRunner().invoke(cli.app, ["site", "remove", folder, "south"])
    assert done.exit_code == 2
    assert "sites with a key: north" in done.output
    done = CliRunner().invoke(cli.app, ["site", "remove", folder, "north"])
    assert done.exit_code == 0
    assert "that was the last key" in done.output
    assert site_keys.without_key(federation) == ["north", "south"]
