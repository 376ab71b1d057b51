"""Explains in words why a server is not reached: the server, a proxy, or the network between."""

import httpx

from federator.errors import InputError
from federator.runtime.link.proxy import place_of, proxy_for

BEHIND = (502, 503, 504)
"""From a gateway or a proxy that works: what is behind it is not there, or too busy."""


def out_of_reach(address: str, error: BaseException) -> str:
    """Return in words why a server could not be spoken to.

    Args:
        address: ``host:port`` of the server.
        error: what httpx raised.
    """
    return _told(address, error)[0]


def remedy_for(address: str, error: BaseException) -> str:
    """Return what a site's operator can do about it."""
    return _told(address, error)[1]


def proxy_status(error: BaseException) -> int | None:
    """Return the status with which a proxy answered that it does not connect; None if none did."""
    if not isinstance(error, httpx.ProxyError):
        return None
    first = str(error).partition(" ")[0]
    return int(first) if first.isdecimal() else 0


def _told(address: str, error: BaseException) -> tuple[str, str]:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        why = text.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or text
        return (
            f"the certificate that {address} shows is not trusted ({why}): is it the server's, "
            "or that of a proxy that opens encrypted connections?",
            "compare this file's fingerprint with the coordinator's; a proxy's own authority "
            "goes into EXTRA_CA",
        )
    if isinstance(error, httpx.HTTPStatusError):
        what = f"{address} is there, but what is behind it is not ({error.response.status_code})"
        return what, "tell the coordinator: the gateway is up, but what is behind it is not"
    try:
        through = proxy_for(address)
        proxy = place_of(through) if through else None
    except InputError as wrong:
        return wrong.problems[0].message, wrong.problems[0].hint or ""
    if (status := proxy_status(error)) is not None:
        return _refused_by(proxy, address, status, text)
    if proxy is not None and _is_the_proxy_s(error):
        return (
            f"the proxy {proxy} of HTTPS_PROXY does not answer: {text or type(error).__name__}",
            "is HTTPS_PROXY right, and is the proxy up? The server has not been asked",
        )
    return (
        f"{address} cannot be reached: {text or type(error).__name__}",
        "have the firewall let this machine out to that address, or set HTTPS_PROXY",
    )


def _is_the_proxy_s(error: BaseException) -> bool:
    """Return whether a connection that was to go through a proxy did not come as far as it.

    What is said of encryption comes from behind it.
    """
    connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
    return (connecting and "SSL" not in str(error)) or isinstance(error, httpx.RemoteProtocolError)


def _refused_by(proxy: str | None, address: str, status: int, text: str) -> tuple[str, str]:
    """Return what a proxy's refusal to connect to an address means."""
    who = f"the proxy {proxy} of HTTPS_PROXY"
    if status == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
        example = "HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT"
        return f"{who} requires a login ({text})", f"write it into .env: {example}"
    if status in BEHIND:
        what = f"{who} works, but does not reach {address} ({text})"
        return what, "the server may be down: ask the coordinator; or the proxy cannot get out"
    what = f"{who} does not let this machine through to {address} ({text})"
    return what, "have the proxy let this machine through to that address"
