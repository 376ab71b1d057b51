"""What the environment says of GitHub."""

import pytest

from federator.errors import InputError
from federator.pipeline import github_env


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    for name in ("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("given", "api", "host"),
    [
        ("", "https://api.github.com", "github.com"),
        ("https://api.github.com/", "https://api.github.com", "github.com"),
        ("https://git.acme.org/api/v3", "https://git.acme.org/api/v3", "git.acme.org"),
        ("https://api.acme.ghe.com", "https://api.acme.ghe.com", "acme.ghe.com"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1", "127.0.0.1"),
    ],
)
def test_address(monkeypatch, given, api, host):
    monkeypatch.setenv("GITHUB_API_URL", given)
    assert github_env.address() == api
    assert github_env.host(api) == host


@pytest.mark.parametrize("given", ["http://git.acme.org/api/v3", "git.acme.org", "file:///tmp"])
def test_no_token_goes_unencrypted(monkeypatch, given):
    monkeypatch.setenv("GITHUB_API_URL", given)
    with pytest.raises(InputError, match="must begin with https://"):
        github_env.address()


def test_token(monkeypatch):
    with pytest.raises(InputError, match=r"no token for GitHub\n.*GITHUB_TOKEN.*actions: write"):
        github_env.token()
    monkeypatch.setenv("GH_TOKEN", "two")
    assert github_env.token() == "two"
    monkeypatch.setenv("GITHUB_TOKEN", "one\n")
    assert github_env.token() == "one"


@pytest.mark.parametrize("given", ["gh\np_secret", "ghp secret", "ghp_sécret"])
def test_a_token_that_cannot_be_sent_is_not_shown(monkeypatch, given):
    monkeypatch.setenv("GITHUB_TOKEN", given)
    with pytest.raises(InputError, match="GITHUB_TOKEN is no token") as raised:
        github_env.token()
    assert "cret" not in str(raised.value)
