"""The server's files are compared with what a server may have: when written, and when approved.

``server.yaml`` is compared with a complete list (permitted.py); the gateway's configuration is that
of this package, to the letter. What the coordinator has approved, ``rounds.yml`` may start.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from federator.common.templates import Templates
from federator.deploy.server_file.gateway import GATEWAY, configuration
from federator.deploy.server_file.permitted import FILE, SAME
from federator.errors import InputError, Problem
from federator.federation.schema import Federation
from federator.runtime.files import sha256, write
from federator.runtime.review import yaml_tree
from federator.runtime.review.conformity import compared

SERVER = "server.yaml"
STARTED = "started"
"""In ``keys/``: the hashes of what the coordinator has approved, as ``sha256sum`` writes them."""


def require_permitted(files: Mapping[str, str], hint: str) -> None:
    """See that a server may have these files.

    Args:
        files: the texts of ``server.yaml`` and ``nginx.conf``, by name.
        hint: what to do about what it may not have.

    Raises:
        InputError: with all that no server may have.
    """
    if found := [Problem(problem, hint=hint) for problem in _problems(files)]:
        raise InputError(*found)


def _problems(files: Mapping[str, str]) -> Iterator[str]:
    tree = yaml_tree.parse(SERVER, files[SERVER].encode())
    for problem in compared(tree, FILE, SAME, "server"):
        yield f"{SERVER}: {problem}"
    if files[GATEWAY] != configuration(Templates()):
        yield f"{GATEWAY}: is not what this version of Notebook Federator writes"


def is_approved(federation: Federation) -> bool:
    """Return whether the server's files are those that the coordinator approved last."""
    folder = federation.folder
    try:
        content = {name: (folder / name).read_bytes() for name in (SERVER, GATEWAY)}
        return (folder / "keys" / STARTED).read_text() == _noted(content)
    except OSError:
        return False


def _noted(content: Mapping[str, bytes]) -> str:
    return "".join(f"{sha256(text)}  {name}\n" for name, text in content.items())


def approve(federation: Federation) -> Path:
    """Note that ``rounds.yml`` may start the server's files as they are now.

    Returns:
        Where that is noted.

    Raises:
        InputError: if a file cannot be read, or has what no server may have.
    """
    folder, noted = federation.folder, federation.folder / "keys" / STARTED
    try:
        content = {name: (folder / name).read_bytes() for name in (SERVER, GATEWAY)}
        texts = {name: text.decode() for name, text in content.items()}
        require_permitted(texts, f"write them anew: federator compose {folder}")
        write(noted, _noted(content))
    except OSError as error:
        raise InputError(f"{error.filename}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{folder}: {SERVER} or {GATEWAY} is not UTF-8") from None
    return noted
