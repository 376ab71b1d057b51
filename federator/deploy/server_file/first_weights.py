"""The file of weights to start from, as the service ``init`` mounts it."""

import os
from pathlib import Path

from federator.errors import InputError, Problem
from federator.federation.schema import Federation


def mount(federation: Federation, given: Path, inside: str) -> str:
    """Return the mount, which can be read and not written.

    The container runs the author's code and reaches the Internet, and the author names the file.

    Args:
        federation: the federation file, beside which ``server.yaml`` is.
        given: the file.
        inside: where it is in the container.

    Raises:
        InputError: if it is outside the repository, hidden, or in a folder of keys.
    """
    root, folder = federation.root.resolve(), federation.folder.resolve()
    parts = given.relative_to(root).parts if given.is_relative_to(root) else ("..",)
    if any(part == "keys" or part.startswith(".") for part in parts):
        message = f"{given} may not be mounted at the server: the author's code reads it there"
        hint = "put the weights into the repository, not into keys/ or a hidden folder"
        raise InputError(Problem(message, federation.where("initial_weights"), hint))
    base = folder if given.is_relative_to(folder) else root
    return f"{os.path.relpath(base, folder)}/{given.relative_to(base).as_posix()}:{inside}:ro"
