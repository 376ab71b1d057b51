"""What a site is told of its way to the server."""

import socket

import pytest
from fakes.server import answering, proxying

from federator.deploy.local.superlink import free_port
from federator.runtime import __main__
from federator.runtime.doctor import network
from federator.runtime.keys import site_key


def failures(server, authorities, key):
    found = network.look(server, authorities, key)
    return [str(finding) for finding in found if not finding.passed]


@pytest.fixture
def key(tmp_path):
    site_key.make(tmp_path / "site.key")
    return tmp_path / "site.key"


@pytest.fixture
def ca(tmp_path):
    return tmp_path / "server.crt"


def test_a_way_without_obstacles(tmp_path, ca, key, monkeypatch, capsys):
    with answering(200, folder=tmp_path) as address:
        monkeypatch.setenv("FEDERATOR_SERVER", address)
        monkeypatch.setenv("FEDERATOR_CA", ca.read_text())
        monkeypatch.setenv("FEDERATOR_KEY", str(key))
        assert __main__.main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.count("pass  ") == 8
    assert "shows a trusted certificate (TLSv1.3)" in said
    assert "valid for 29 more days" in said
    assert "the server lets this site's key in" in said


@pytest.mark.parametrize(
    ("status", "settings", "words"),
    [
        (412, {}, "this site's key is not registered at the server\n      send this line"),
        (200, {"ahead": 3600}, "clock is -3600 s off\n      set it right: turn NTP on"),
        (200, {"health": 502}, "the server's health is 502\n      tell the coordinator"),
    ],
)
def test_one_obstacle(tmp_path, ca, key, status, settings, words):
    with answering(status, folder=tmp_path, **settings) as address:
        (failure,) = failures(address, ca, key)
    assert words in failure.replace("-3599", "-3600")


def test_a_key_that_others_may_read_or_that_is_not_there(tmp_path, ca, key):
    with answering(200, folder=tmp_path) as address:
        key.chmod(0o644)
        (failure,) = failures(address, ca, key)
        assert "file mode 644" in failure
        key.unlink()
        (failure,) = failures(address, ca, key)
        assert "docker compose run --rm join" in failure


def test_a_server_that_is_another(tmp_path, key):
    with answering(200, folder=tmp_path) as address:
        (failure,) = failures(address, None, key)
    assert "is not trusted" in failure
    assert "EXTRA_CA" in failure


def test_a_server_that_is_not_there(key):
    (failure,) = failures(f"127.0.0.1:{free_port()}", None, key)
    assert "cannot be reached" in failure
    assert "firewall" in failure


def test_a_name_that_nobody_knows(key, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    (failure,) = failures("fl.example.invalid:443", None, key)
    assert "the server's name, fl.example.invalid, is not known" in failure
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.invalid:3128")
    (failure,) = failures("fl.example.invalid:443", None, key)
    assert "the name of HTTPS_PROXY's proxy, proxy.example.invalid, is not known" in failure


@pytest.fixture
def through(monkeypatch):
    """Sets the proxy."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return lambda proxy: monkeypatch.setenv("HTTPS_PROXY", proxy)


def test_a_proxy_that_is_dead(key, through):
    through(proxy := f"127.0.0.1:{free_port()}")
    (failure,) = failures("127.0.0.1:443", None, key)
    assert f"the proxy {proxy} of HTTPS_PROXY does not answer" in failure
    assert "firewall" not in failure


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("HTTP/1.1 502 Bad Gateway", "works, but does not reach 127.0.0.1:443 (502 Bad Gateway)"),
        ("HTTP/1.1 403 Forbidden", "does not let this machine through to 127.0.0.1:443 (403"),
        ("HTTP/1.1 407 No", "requires a login (407 No)"),
        ("SSH-2.0-OpenSSH_9.2", "does not answer"),
    ],
)
def test_a_proxy_that_works_and_does_not_connect(key, through, line, words):
    with proxying(line) as proxy:
        through(f"http://{proxy}")
        (failure,) = failures("127.0.0.1:443", None, key)
    assert f"the proxy {proxy} of HTTPS_PROXY {words}" in failure


def test_a_proxy_of_a_kind_that_is_not_known(key, through):
    through("socks5://127.0.0.1:1080")
    (failure,) = failures("127.0.0.1:443", None, key)
    assert "a proxy of the kind socks5" in failure
