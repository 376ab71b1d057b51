"""What git knows of the folder that a federation lies in."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from federator.common import git
from federator.errors import InputError, Problem

_NAME = re.compile(r"[A-Za-z0-9_-]+/(?!\.\.?$)[A-Za-z0-9._-]+")


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
