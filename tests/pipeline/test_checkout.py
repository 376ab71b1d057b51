"""Which repository a folder is a clone of."""

import subprocess

import pytest

from federator.errors import InputError
from federator.pipeline import checkout


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
    assert checkout.origin(clone(address), "github.com") == "acme/hospitals"


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
        checkout.origin(clone(address), "github.com")
    assert "owner/name" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_no_origin(tmp_path):
    with pytest.raises(InputError, match="there is no git remote"):
        checkout.origin(tmp_path, "github.com")


@pytest.mark.parametrize("name", ["acme/hospitals", "Acme-2_corp/h.1", "a/.github"])
def test_names(name):
    assert checkout.checked(name) == name


@pytest.mark.parametrize(
    "name",
    ["acme", "acme/", "a/b/c", "a/..", "a/.", "../b", "a/b?c", "a/b c", "a/b\n", "a/$(x)", ""],
)
def test_what_is_no_name(name):
    with pytest.raises(InputError, match="is no repository"):
        checkout.checked(name)
