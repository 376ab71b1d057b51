"""What the environment and the clone say of GitHub."""

import subprocess

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


@pytest.fixture
def clone(tmp_path):
    """Makes a clone of an address."""

    def of(address):
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        subprocess.run(["git", "-C", tmp_path, "remote", "add", "origin", address], check=True)
        return tmp_path

    return of


@pytest.mark.parametrize(
    "address",
    [
        "https://github.com/acme/hospitals",
        "https://github.com/acme/hospitals.git/",
        "https://ada:secret@github.com/acme/hospitals.git",
        "git@github.com:acme/hospitals.git",
        "github.com:acme/hospitals",
        "ssh://git@github.com/acme/hospitals.git",
        "ssh://git@ssh.github.com:443/acme/hospitals.git",
    ],
)
def test_forms_of_an_address(clone, address):
    assert github_env.origin(clone(address), "github.com") == "acme/hospitals"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://ada:secret@gitlab.com/acme/hospitals.git", "origin is at gitlab.com, not at"),
        ("git@github.com.evil.example:acme/hospitals.git", "origin is at github.com.evil.example"),
        ("/srv/git/hospitals.git", "there is no git remote at github.com"),
        ("https://[github.com/acme/hospitals", "there is no git remote at github.com"),
        ("https://github.com/acme/hospitals/tree/main", "is no repository"),
    ],
)
def test_an_origin_that_is_none_of_the_host(clone, address, words):
    with pytest.raises(InputError, match=words) as raised:
        github_env.origin(clone(address), "github.com")
    assert "owner/name" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_no_origin(tmp_path):
    with pytest.raises(InputError, match="there is no git remote"):
        github_env.origin(tmp_path, "github.com")


@pytest.mark.parametrize("name", ["acme/hospitals", "Acme-2_corp/h.1", "a/.github"])
def test_names(name):
    assert github_env.checked(name) == name


@pytest.mark.parametrize(
    "name",
    ["acme", "acme/", "a/b/c", "a/..", "a/.", "../b", "a/b?c", "a/b c", "a/b\n", "a/$(x)", ""],
)
def test_what_is_no_name(name):
    with pytest.raises(InputError, match="is no repository"):
        github_env.checked(name)
