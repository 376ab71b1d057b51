"""Where GitHub's API is and with which token it is asked: both stand in the environment."""

import os
import re
from urllib.parse import urlsplit

from federator.common import http_client
from federator.errors import InputError, Problem

_API = "https://api.github.com"


def address() -> str:
    """The address of the API: that of GITHUB_API_URL, else of github.com.

    Raises:
        InputError: The token would be sent unencrypted.
    """
    url = (os.environ.get("GITHUB_API_URL") or _API).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme != "https" and not http_client.is_local(parts.netloc):
        hint = "for GitHub Enterprise Server it is https://HOST/api/v3"
        raise InputError(Problem("GITHUB_API_URL must begin with https://", hint=hint))
    return url


def host(api: str) -> str:
    """The host that repositories are cloned from, where the API is at this address."""
    return (urlsplit(api).hostname or "").removeprefix("api.")


def token() -> str:
    """The token of the environment.

    Raises:
        InputError: There is none, or one that cannot be sent. It is not shown.
    """
    variable = "GITHUB_TOKEN" if os.environ.get("GITHUB_TOKEN") else "GH_TOKEN"
    found = os.environ.get(variable, "").strip()
    if not found:
        hint = "put one into GITHUB_TOKEN: for the repository, with `actions: write`"
        raise InputError(Problem("there is no token for GitHub", hint=hint))
    if not re.fullmatch("[!-~]+", found):
        raise InputError(Problem(f"{variable} is no token: it holds spaces or odd characters"))
    return found
