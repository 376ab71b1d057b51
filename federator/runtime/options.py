"""Options of what runs in a container: its compose file sets them by the environment.

``--app-hash`` is also ``FEDERATOR_APP_HASH``. So whatever is run in a service of the file, ``link``
or ``doctor``, has that service's settings.
"""

import argparse
import logging
import os
import ssl
import tempfile
from pathlib import Path
from typing import Any

from federator.errors import InputError, Problem
from federator.runtime.files import read_text_file

PREFIX = "FEDERATOR_"


class Parser(argparse.ArgumentParser):
    """Parses arguments; what is not given is taken from the environment, if that has it.

    There, several values are separated by spaces, and a flag is ``true`` or ``false``.
    """

    def add_argument(self, *names: str, **rest: Any) -> argparse.Action:  # noqa: ANN401  # argparse's
        """Add an argument, as argparse does."""
        action = super().add_argument(*names, **rest)
        value = os.environ.get(PREFIX + action.dest.upper())
        if value and action.option_strings:
            action.required = False
            action.default = value
            if action.nargs == 0:
                action.default = value == "true"
            elif action.nargs == "*":
                action.default = value.split()
        return action


def begin_log() -> None:
    """Log as all that goes on running does.

    But no line for each call of Flower's: of a ServerApp, Flower uploads every line by a call.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def file(text: str) -> Path:
    """Return the file of a text that is given as its path, or as itself, in several lines."""
    return _keep(text) if "\n" in text else Path(text)


def trusted(authority: Path | None, own: Path | None) -> Path | None:
    """Return whom to trust: an authority, or None for the system's; and the site's own, if any.

    Raises:
        InputError: if a file is there and holds no certificate.
    """
    extra = _certificates(own) if own else ""
    if not extra.strip():
        return authority
    system = ssl.get_default_verify_paths().cafile
    first = authority or (Path(system) if system else None)
    return _keep((_certificates(first) if first else "") + "\n" + extra)


def _certificates(path: Path) -> str:
    """Return the certificates in a file.

    Raises:
        InputError: if it cannot be read, or holds something else; an empty one is fine.
    """
    try:
        content = read_text_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if content.strip() and b"-----BEGIN CERTIFICATE-----" not in content:
        hint = "if it is in DER: openssl x509 -inform der -in FILE -out FILE.pem"
        raise InputError(Problem(f"{path}: is no certificate in PEM", hint=hint))
    return content.decode("utf-8", "replace")


def _keep(text: str) -> Path:
    path = Path(tempfile.mkdtemp(), "given")
    path.write_text(text)
    return path
