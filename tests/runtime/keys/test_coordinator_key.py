"""The coordinator's public keys as a site's file names them."""

from datetime import UTC, date, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.errors import InputError
from federator.runtime.keys.coordinator_key import CoordinatorKey, read_keys


def today():
    """Return the day; midnight may pass while the tests run."""
    return datetime.now(UTC).date()


def key(last_day: date | None = None) -> CoordinatorKey:
    return CoordinatorKey.of(Ed25519PrivateKey.generate().public_key(), last_day)


def test_keys_are_read_as_they_were_written():
    present, following = key(), key(date(2099, 12, 31))
    read = read_keys(f"{present.write()} {following.write()}".split())
    assert read == (present, following)
    assert not any(one.ended for one in read)
    assert (read[0].last_day - today()).days == 730
    assert read[1].write().split(":")[:2] == [following.name, "2099-12-31"]


def test_a_key_holds_to_the_end_of_its_last_day():
    assert not key(today()).ended
    assert key(today() - timedelta(days=1)).ended


GIVEN = key()


@pytest.mark.parametrize(
    "text",
    [
        "",
        GIVEN.write().rpartition(":")[2],
        GIVEN.write()[:-4],
        GIVEN.write() + ":",
        f"00000000:{GIVEN.write().partition(':')[2]}",
        GIVEN.write().replace(str(GIVEN.last_day), "soon"),
        GIVEN.write() + "é",
        f"{GIVEN.name}:{GIVEN.last_day}:AAAA",
    ],
    ids=["empty", "old", "cut", "more", "another's name", "no day", "not ASCII", "too short"],
)
def test_what_is_no_key_is_told(text):
    with pytest.raises(InputError, match="is no key of the coordinator's"):
        read_keys([text])


@pytest.mark.parametrize("texts", [[], [GIVEN] * 2, [GIVEN, key(), key()]])
def test_a_site_knows_one_key_or_two(texts):
    with pytest.raises(InputError, match="one or 2 different ones"):
        read_keys([one.write() for one in texts])
