"""Why a server could not be spoken to: the proxy, the server, or the way between."""

import httpx
import pytest

from federator.runtime.link.unreached import out_of_reach, proxy_status, remedy_for

SERVER = "fl.example.org:443"
REFUSED = httpx.ConnectError("[Errno 111] Connection refused")
UNTRUSTED = httpx.ConnectError(
    "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: IP address mismatch (_ssl.c:1000)"
)


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("proxy", "error", "words", "remedy"),
    [
        ("", UNTRUSTED, "is not trusted (IP address mismatch)", "EXTRA_CA"),
        ("", REFUSED, f"{SERVER} cannot be reached: [Errno 111]", "or set HTTPS_PROXY"),
        ("", httpx.ConnectTimeout(""), "cannot be reached: ConnectTimeout", "firewall"),
        (
            "p:3128",
            REFUSED,
            "the proxy p:3128 of HTTPS_PROXY does not answer: [",
            "is the proxy up",
        ),
        ("http://p", httpx.ConnectTimeout(""), "the proxy p:80 of HTTPS_PROXY does not", "up?"),
        ("http://p", httpx.ReadTimeout(""), f"{SERVER} cannot be reached: ReadTimeout", ""),
        ("http://p", UNTRUSTED, f"{SERVER} shows is not trusted", "a proxy's own authority"),
        ("p:1", httpx.ProxyError("407 Who are you"), "requires a login (407", "NAME:PASSWORD@"),
        ("p:1", httpx.ProxyError("502 Bad Gateway"), f"does not reach {SERVER}", "down"),
        ("p:1", httpx.ProxyError("403 Forbidden"), "does not let this machine", "let this"),
        ("p:1", httpx.ProxyError(""), "does not let this machine", "let this"),
        ("socks5://p:1", REFUSED, "of the kind socks5, not http", "=http://"),
        ("http://p:x", REFUSED, "HTTPS_PROXY has no proper port", "HTTPS_PROXY=http://"),
        ("http://ada:secret@p:8", REFUSED, "the proxy p:8 of HTTPS_PROXY", "HTTPS_PROXY right"),
    ],
)
def test_who_did_not_answer_is_told(monkeypatch, proxy, error, words, remedy):
    if proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert words in out_of_reach(SERVER, error)
    assert remedy in remedy_for(SERVER, error)
    assert "secret" not in out_of_reach(SERVER, error)


def test_what_a_proxy_answered():
    assert proxy_status(httpx.ProxyError("407 Proxy Authentication Required")) == 407
    assert proxy_status(httpx.ProxyError("odd")) == 0
    assert proxy_status(REFUSED) is None
