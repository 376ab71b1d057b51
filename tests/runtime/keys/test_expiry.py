"""Who is warned before keys and certificates end, and of what."""

import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fakes.server import answering

from federator.deploy.certificates import issue
from federator.deploy.local.superlink import free_port
from federator.runtime.keys import expiry
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.keys.expiry import warning


def today():
    """Return the day; midnight may pass while the tests run."""
    return datetime.now(UTC).date()


def key(days):
    public = Ed25519PrivateKey.generate().public_key()
    return CoordinatorKey.of(public, today() + timedelta(days=days))


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (40, None),
        (20.5, "the lock ends in 20 days, on 20"),
        (0.5, "the lock ends in 0 days, on 20"),
        (-1, "the lock has ended, on 20"),
    ],
)
def test_who_is_warned_has_a_month(days, said):
    told = warning("the lock", datetime.now(UTC) + timedelta(days=days), "change it")
    assert (told is None) if said is None else (told.startswith(said) and "change it" in told)


def test_a_site_is_warned_of_all_that_ends(tmp_path):
    """The certificate of this server is valid for 29 days."""
    authority = tmp_path / "ca.crt"
    authority.write_bytes(issue((), 12).certificate)
    with answering(200, folder=tmp_path) as address:
        trusted, known = tmp_path / "server.crt", key(5)
        said = list(expiry.at_site([known], authority, trusted, address))
        assert [one.partition(" ends in ")[0] for one in said] == [
            f"the coordinator's key {known.name}",
            "the server's certificate authority",
            "the server's certificate",
        ]
        lasting = list(expiry.at_site([known, key(400)], None, trusted, address))
    assert len(lasting) == 1, "of two keys, one that lasts is enough"
    assert "ends in 29 days" in lasting[0] and "federator provision --renew" in lasting[0]


def test_the_coordinator_is_told_what_to_do_next(tmp_path):
    with answering(200, folder=tmp_path) as address:
        for keys, step in (([key(5)], "key add"), ([key(5), key(400)], "key retire")):
            published = " ".join(one.write() for one in keys)
            first, second = expiry.told_at_server(published, address)
            assert first.startswith(f"your key {keys[0].name} ends in 5 days")
            assert first.endswith(f"federator {step}")
            assert second.startswith("the server's certificate ends in 29 days")
    assert expiry.told_at_server(key(400).write(), "") == []


def test_what_cannot_be_looked_at_is_not_taken_for_valid():
    (said,) = expiry.told_at_server("", f"127.0.0.1:{free_port()}")
    assert said.startswith("when the server's certificate ends is unknown: ")
    with pytest.raises(OSError):
        list(expiry.at_site([], None, None, f"127.0.0.1:{free_port()}"))


def test_warnings_are_logged_while_the_process_does_something_else(caplog, monkeypatch):
    """Also if the server was not there at the first look."""
    monkeypatch.setattr(expiry, "_AGAIN", 0.01)
    looks = []

    def look():
        looks.append(True)
        if len(looks) < 3:
            raise OSError("not there yet")
        yield "the lock ends in 3 days"

    thread = expiry.watch(partial(look))
    deadline = time.monotonic() + 30
    while "the lock ends" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert caplog.text.count("the lock ends in 3 days") == 1
    assert thread.daemon and thread.is_alive() and len(looks) == 3
