"""What a server is given: certificates that are trusted, keys that only it can read."""

import ipaddress
import stat
import subprocess
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from fixtures.small_notebook import federate
from typer.testing import CliRunner

from federator import cli
from federator.deploy.certificates import covers, issue
from federator.deploy.provision import provision
from federator.errors import InputError
from federator.runtime.keys.coordinator_key import read_keys

MADE = {
    *("keys/ca.key", "keys/coordinator.key", "keys/server.crt", "keys/server.key"),
    *("keys/superexec.secret", "keys/superlink.crt", "keys/superlink.key", "keys/watch.token"),
    *("public/ca.crt", "public/coordinator.pub"),
}


def verify(certificate, authority, host):
    """Verify as a TLS client does; raises if a client would refuse."""
    try:
        subject = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    store = Store([x509.load_pem_x509_certificate(authority.read_bytes())])
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    PolicyBuilder().store(store).build_server_verifier(subject).verify(leaf, [])


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ("fl.example.org", "fl.example.org"),
        ("fl.example.org:8443", "fl.example.org"),
        ("192.0.2.7:8443", "192.0.2.7"),
        ('"[2001:db8::1]:8443"', "2001:db8::1"),
    ],
)
def test_the_server_s_certificate_is_for_its_name_or_address(tmp_path, server, host):
    federation = federate(tmp_path, f"server: {server}\n")
    provision(federation)
    served, authority = federation.folder / "keys/server.crt", federation.folder / "public/ca.crt"
    verify(served, authority, host)
    with pytest.raises(VerificationError):
        verify(served, authority, "other.example.org")
    verify(*[federation.folder / "keys/superlink.crt"] * 2, "superlink")


def test_keys_are_readable_for_nobody_else_and_not_committed(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    made = provision(federation)
    assert {str(path.relative_to(federation.folder)) for path in made.written} == MADE
    keys = federation.folder / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    for path in made.written:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o600 if path.parent == keys else 0o644), path
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    found = subprocess.run(
        ["git", "status", "--porcelain", "--untracked-files=all", "compose"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "public/ca.crt" in found
    assert "keys/" not in found


def test_the_published_key_is_that_of_the_signing_key(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    provision(federation)
    key = load_pem_private_key((federation.folder / "keys/coordinator.key").read_bytes(), None)
    text = (federation.folder / "public/coordinator.pub").read_text()
    (published,) = read_keys(text.split())
    assert published.public == key.public_key().public_bytes_raw()
    assert 725 < (published.last_day - datetime.now(UTC).date()).days <= 730


def test_a_second_time_changes_nothing_and_renewal_the_certificate_alone(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    provision(federation)
    again = provision(federation)
    assert again.written == []
    assert not again.renew_soon
    assert 360 < (again.expires - datetime.now(UTC)).days < 366
    renewed = provision(federation, renew=True)
    assert [path.name for path in renewed.written] == ["server.key", "server.crt"]
    verify(renewed.written[1], federation.folder / "public/ca.crt", "fl.example.org")


def test_another_name_or_a_last_month_makes_a_new_certificate(tmp_path):
    provision(federate(tmp_path, "server: fl.example.org\n"))
    federation = federate(tmp_path, "server: new.example.org\n")
    assert provision(federation).written
    served, authority = federation.folder / "keys/server.crt", federation.folder / "public/ca.crt"
    verify(served, authority, "new.example.org")
    pair = issue(("new.example.org",), 20)
    served.write_bytes(pair.certificate)
    assert provision(federation).written
    verify(served, authority, "new.example.org")


def give(tmp_path, host="fl.example.org", days=90):
    pair = issue((host,), days)
    paths = tmp_path / "fullchain.pem", tmp_path / "privkey.pem"
    for path, content in zip(paths, pair, strict=True):
        path.write_bytes(content)
    return paths


def test_a_public_certificate_takes_the_place_of_our_own_authority(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    provision(federation)
    given = give(tmp_path)
    made = provision(federation, False, *given)
    assert made.is_public
    assert (federation.folder / "keys/server.crt").read_bytes() == given[0].read_bytes()
    assert not (federation.folder / "public/ca.crt").exists()
    assert provision(federation).written == []
    with pytest.raises(InputError, match="who alone can renew it"):
        provision(federation, renew=True)


def changed(given, which, content):
    given[which].write_bytes(content)
    return given


def cut(given, which):
    lines = given[which].read_bytes().splitlines(keepends=True)
    return changed(given, which, b"".join(lines[:1] + lines[2:]))


def encrypted(certificate, key):
    private = load_pem_private_key(key.read_bytes(), None)
    secret = BestAvailableEncryption(b"secret")
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret))
    return certificate, key


def another_key(certificate, key):
    key.write_bytes(issue(("fl.example.org",), 1).key)
    return certificate, key


@pytest.mark.parametrize(
    ("host", "days", "change", "message"),
    [
        ("fl.example.org", 90, lambda *given: (given[0], None), "give both"),
        ("fl.example.org", 90, lambda *given: (given[0], given[1] / "a"), "cannot be read"),
        ("fl.example.org", 90, lambda *given: given[::-1], "is a private key, not a certificate"),
        ("fl.example.org", 90, lambda *given: (given[0],) * 2, "is a certificate, not a private"),
        ("fl.example.org", 90, lambda *given: changed(given, 0, b"x"), "is no certificate in PEM"),
        ("fl.example.org", 90, lambda *given: changed(given, 1, b"x"), "is no private key in PEM"),
        ("fl.example.org", 90, lambda *given: changed(given, 0, b"\x300"), "openssl x509 -inform"),
        ("fl.example.org", 90, lambda *given: changed(given, 1, b"\x300"), "openssl pkey -inform"),
        ("fl.example.org", 90, lambda *given: cut(given, 0), "holds a damaged certificate"),
        ("fl.example.org", 90, lambda *given: cut(given, 1), "holds a damaged private key"),
        ("fl.example.org", 90, encrypted, "the key is encrypted\n    take the password off"),
        ("fl.example.org", 90, another_key, "is not the key of"),
        ("other.example.org", 90, lambda *given: given, "is not for fl.example.org"),
        ("fl.example.org", 0.01, lambda *given: given, "has expired"),
    ],
)
def test_what_is_wrong_with_a_given_certificate_is_said_before_anything_is_made(
    tmp_path, host, days, change, message
):
    federation = federate(tmp_path, "server: fl.example.org\n")
    with pytest.raises(InputError, match=message) as raised:
        provision(federation, False, *change(*give(tmp_path, host, days)))
    assert "http" not in str(raised.value), "in words of our own"
    assert not (federation.folder / "keys").exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_a_certificate_as_an_editor_on_windows_saves_it(tmp_path, encoding):
    federation = federate(tmp_path, "server: fl.example.org\n")
    given = give(tmp_path)
    before = [path.read_bytes() for path in given]
    for path in given:
        path.write_bytes(path.read_text().encode(encoding))
    provision(federation, False, *given)
    keys = federation.folder / "keys"
    assert [(keys / name).read_bytes() for name in ("server.crt", "server.key")] == before


def test_a_damaged_certificate_is_named(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    provision(federation)
    (federation.folder / "keys/server.crt").write_text("nothing")
    with pytest.raises(InputError, match=r"server\.crt: is no certificate in PEM"):
        provision(federation)
    assert not provision(federation, renew=True).renew_soon


def test_a_server_must_be_named(tmp_path):
    with pytest.raises(InputError, match="server is missing"):
        provision(federate(tmp_path))


def test_another_machine_does_not_make_keys_that_no_site_would_believe(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    provision(federation)
    for path in (federation.folder / "keys").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"coordinator\.pub is here, but not its key"):
        provision(federation)


def test_the_authority_s_key_may_be_kept_elsewhere(tmp_path):
    federation = federate(tmp_path, "server: fl.example.org\n")
    provision(federation)
    elsewhere = (federation.folder / "keys" / "ca.key").rename(tmp_path / "ca.key")
    assert provision(federation).written == [], "it is needed to issue a certificate only"
    with pytest.raises(InputError, match=r"ca\.crt is here, but not its key"):
        provision(federation, renew=True)
    renewed = provision(federation, renew=True, authority_key=elsewhere)
    verify(renewed.written[1], federation.folder / "public/ca.crt", "fl.example.org")
    assert not (federation.folder / "keys" / "ca.key").exists()
    elsewhere.write_bytes(issue((), 10).key)
    with pytest.raises(InputError, match="is not that of its certificate"):
        provision(federation, renew=True, authority_key=elsewhere)


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [
        ("*.example.org", "fl.example.org", True),
        ("*.example.org", "a.fl.example.org", False),
        ("fl.example.org", "fl.example.org", True),
        ("192.0.2.7", "192.0.2.7", True),
        ("fl.example.org", "192.0.2.7", False),
    ],
)
def test_what_a_certificate_covers(name, host, covered):
    assert covers(issue((name,), 1).certificate, host) is covered


def test_the_command_says_what_to_keep_and_what_to_commit(tmp_path, monkeypatch):
    federation = federate(tmp_path, "server: fl.example.org\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["provision", str(federation.folder)])
    assert done.exit_code == 0
    assert "keep compose/tumours/keys on this machine; commit compose/tumours/public" in done.output
    assert str(tmp_path) not in done.output
    again = CliRunner().invoke(cli.app, ["provision", str(federation.folder)])
    assert "nothing has been changed" in again.output
    assert "valid until 20" in done.output
    done = CliRunner().invoke(cli.app, ["provision", str(federation.folder), "--key", "x"])
    assert done.exit_code == 2
