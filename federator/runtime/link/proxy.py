"""Through which proxy a site connects to the server, as its environment says."""

import urllib.request
from urllib.parse import urlsplit

from federator.errors import InputError, Problem

_PORTS = {"http": 80, "https": 443}


def host_of(server: str) -> str:
    """Return the name in ``host:port``."""
    return urlsplit(f"//{server}").hostname or ""


def proxy_for(server: str) -> str | None:
    """Return the address of the proxy that HTTPS_PROXY names, unless NO_PROXY exempts a server."""
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(host_of(server)):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def place_of(proxy: str) -> str:
    """Return ``host:port`` of a proxy's address, without the login that may be in it.

    Raises:
        InputError: if it is no address of a proxy that a site can use.
    """
    hint = "write, for example:  HTTPS_PROXY=http://proxy.example.org:3128"
    try:
        parts = urlsplit(proxy)
        usual = _PORTS[parts.scheme]
        port = parts.port or usual
    except KeyError:
        message = f"HTTPS_PROXY names a proxy of the kind {parts.scheme}, not http or https"
        raise InputError(Problem(message, hint=hint)) from None
    except ValueError:
        raise InputError(Problem("HTTPS_PROXY has no proper port in it", hint=hint)) from None
    if not parts.hostname:
        raise InputError(Problem("HTTPS_PROXY names no host", hint=hint))
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}"
