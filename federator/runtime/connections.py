"""How a site connects to the server: through which proxy, and when a connection counts as dead."""

import socket
import urllib.request
from urllib.parse import urlsplit

_DEAD = 15  # seconds
SOCKET_OPTIONS = (
    # What was sent has not arrived, or nobody answers to the question whether they are there:
    # else a request that was on its way when a line was cut is waited for long after it is back.
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD * 1000),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _DEAD // 3),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _DEAD // 3),
)
"""For ``setsockopt``."""


def host_of(server: str) -> str:
    """Return the name in ``host:port``."""
    return urlsplit(f"//{server}").hostname or ""


def proxy_for(server: str, scheme: str = "https") -> str | None:
    """Return the address of the proxy that HTTPS_PROXY names, unless NO_PROXY exempts a server."""
    proxy = urllib.request.getproxies().get(scheme)
    if not proxy or urllib.request.proxy_bypass(host_of(server)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
