"""Through which proxy a site connects to the server, as its environment says."""

import urllib.request
from urllib.parse import urlsplit


def host_of(server: str) -> str:
    """Return the name in ``host:port``."""
    return urlsplit(f"//{server}").hostname or ""


def proxy_for(server: str) -> str | None:
    """Return the address of the proxy that HTTPS_PROXY names, unless NO_PROXY exempts a server."""
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(host_of(server)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
