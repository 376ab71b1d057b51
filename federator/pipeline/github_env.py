"""Which repository at GitHub is meant, and with which token its API is asked.

Both come from the environment, or from the folder's git remote ``origin``.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from federator.common import git, http_client
from federator.errors import InputError, Problem

_API = "https://api.github.com"
_NAME = re.compile(r"[A-Za-z0-9_-]+/(?!\.\.?$)[A-Za-z0-9._-]+")


def address() -> str:
    """The address of the API: that of GITHUB_API_URL, else of github.com.

    Raises:
        InputError: The token would be sent unencrypted.
    """
    url = (os.environ.get("GITHUB_API_URL") or _API).rstrip("/")
    if not http_client.is_encrypted(url):
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
        raise InputError(
            Problem(f"{variable} is no token: it contains spaces or invalid characters")
        )
    return found


def checked(name: str) -> str:
    """Return a repository's name at GitHub, which must be ``owner/name``.

    Raises:
        InputError: if it is anything else.
    """
    if not _NAME.fullmatch(name):
        raise InputError(Problem(f"{name!a} is no repository", hint="give it as owner/name"))
    return name


def origin(folder: Path, host: str) -> str:
    """Return ``owner/name`` of a folder's origin, which must be at a host: by HTTPS or SSH.

    Raises:
        InputError: if the folder has no origin, or one elsewhere. A login in its address is
            not shown.
    """
    address = git.ask(folder, "remote", "get-url", "origin")
    if "://" not in address:  # as in git@github.com:owner/name.git
        address = "ssh://" + address.replace(":", "/", 1)
    try:
        parts = urlsplit(address)
        there = (parts.hostname or "").removeprefix("ssh.")  # GitHub's SSH on port 443
    except ValueError:
        there = ""
    if there != host:
        what = f"the git remote origin is at {there}, not" if there else "there is no git remote"
        hint = "name the repository: --repository owner/name"
        raise InputError(Problem(f"{what} at {host}", hint=hint))
    return checked(parts.path.strip("/").removesuffix(".git"))
