"""Through which proxy a site connects."""

import pytest

from federator.errors import InputError
from federator.runtime.link.proxy import host_of, place_of, proxy_for


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://ada:secret@proxy:3128"}, "http://ada:secret@proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "example.org"}, None),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "example.com"}, "http://proxy"),
    ],
)
def test_the_proxy_that_the_environment_names(monkeypatch, settings, expected):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert proxy_for("fl.example.org:443") == expected


def test_the_name_of_a_server():
    assert host_of("fl.example.org:443") == "fl.example.org"
    assert host_of("[::1]:443") == "::1"


@pytest.mark.parametrize(
    ("proxy", "place"),
    [
        ("http://ada:secret@proxy", "proxy:80"),
        ("https://proxy", "proxy:443"),
        ("http://[::1]:3128/", "[::1]:3128"),
    ],
)
def test_the_place_of_a_proxy(proxy, place):
    assert place_of(proxy) == place


@pytest.mark.parametrize("proxy", ["socks5://proxy", "http://proxy:x", "http://", "http://:3128"])
def test_what_is_no_proxy_of_ours(proxy):
    with pytest.raises(InputError, match="HTTPS_PROXY"):
        place_of(proxy)
