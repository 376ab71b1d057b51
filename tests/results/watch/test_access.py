"""Who may read the live page."""

import pytest

from federator.errors import InputError
from federator.results.watch.access import Access, new_token, read_token

TOKEN = "a" * 43
ACCESS = Access(TOKEN, ("watch",))


@pytest.mark.parametrize(
    ("target", "host", "authorization"),
    [
        (f"/?token={TOKEN}", "127.0.0.1:8712", None),
        (f"/events?token={TOKEN}", "localhost", None),
        (f"/?token={TOKEN}", "[::1]:1", None),
        ("/metrics", "watch:8712", f"Bearer {TOKEN}"),
    ],
)
def test_whoever_has_the_token_may(target, host, authorization):
    assert ACCESS.refusal(target, host, authorization) == ""


@pytest.mark.parametrize(
    ("target", "authorization"),
    [
        ("/", None),
        ("/?token=", None),
        (f"/?token={TOKEN[:-1]}", None),
        (f"/?token=b&token={TOKEN}", None),
        ("/?token=%ff%00é", None),
        (f"/?token={TOKEN}", "Bearer another"),
        ("/", f"Basic {TOKEN}"),
        ("//[", None),
    ],
)
def test_whoever_has_it_not_may_not(target, authorization):
    assert "token" in ACCESS.refusal(target, "localhost", authorization)


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "127.0.0.1.evil.example:80", "[", "::1"]
)
def test_a_name_that_is_not_its_own_is_refused_also_with_the_token(host):
    assert "name" in ACCESS.refusal(f"/?token={TOKEN}", host, None)


def test_a_new_token_is_another_each_time():
    assert new_token() != new_token() and len(new_token()) == 43


def test_the_token_in_a_file_is_read(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"two words of some length"])
def test_a_file_without_a_token_is_told(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(InputError, match="token"):
        read_token(file)
    with pytest.raises(InputError, match="No such file"):
        read_token(tmp_path / "none")
