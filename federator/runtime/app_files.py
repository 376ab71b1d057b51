"""The files of a Flower App: how they may be called, and whether the app's hash covers them.

Flower's hash is over the files that it would send, of a few types; a ``vocab.txt`` is not among
them. Hence ``pyproject.toml``, which is, lists the SHA-256 of each file in ``assets``.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from federator.errors import InputError
from federator.runtime.files import sha256

ASSETS = "assets"
"""The folder in an app of the files that lay beside the notebook and are no modules."""


LAYOUT = "data.md"
"""The file of an app with the author's text on how a site must lay out its data."""

_PART = r"\w[\w .()+=@,-]*"
_NAME = re.compile(rf"{_PART}(?:/{_PART}){{0,6}}")


def is_name(path: str) -> bool:
    """Say whether a file of an app may be called so: it leads nowhere else, and is not hidden."""
    return bool(_NAME.fullmatch(path)) and not any(
        part == "__pycache__" or part.endswith((".", " ")) for part in path.split("/")
    )


def read(app: Path) -> dict[str, str]:
    """Return the text of each file of an app, by its path in it."""
    return {
        str(path.relative_to(app).as_posix()): path.read_bytes().decode("utf-8")
        for path in sorted(app.rglob("*"))
        if path.is_file() and is_name(path.relative_to(app).as_posix())
    }


def write(app: Path, files: Mapping[str, str]) -> None:
    """Write the files of an app into a folder, byte for byte as they are.

    Raises:
        InputError: if one is called as none may be.
    """
    for name, text in files.items():
        if not is_name(name):
            raise InputError(f"{name} is no name of a file in an app")
        path = app / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        except OSError as error:
            raise InputError(f"{name} cannot be a file of this app: {error.strerror}") from None


def digest(text: str) -> str:
    """Return what ``pyproject.toml`` says of an asset."""
    return sha256(text.encode())


def listed(app: Path) -> dict[str, str]:
    """Return the SHA-256 of each asset that the app's ``pyproject.toml`` lists, by its path."""
    try:
        project = tomllib.loads((app / "pyproject.toml").read_text(encoding="utf-8"))
        found = project.get("tool", {}).get("federator", {}).get(ASSETS, {})
        return {str(name): str(value) for name, value in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def require_listed(app: Path) -> None:
    """See that the assets of an app are those that its ``pyproject.toml`` lists.

    Raises:
        InputError: for the first that is missing, changed, or not listed.
    """
    folder, known = app / ASSETS, listed(app)
    there = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()
    }
    for name in sorted(known.keys() | there.keys()):
        if name not in there:
            raise InputError(f"{ASSETS}/{name} is missing, and pyproject.toml lists it")
        if name not in known:
            raise InputError(f"{ASSETS}/{name} is there, and pyproject.toml does not list it")
        content = there[name].read_bytes()
        if there[name].is_symlink() or sha256(content) != known[name]:
            raise InputError(f"{ASSETS}/{name} is not the file that pyproject.toml lists")


def layout(app: Path) -> str:
    """Return how the data must be laid out, indented for a finding, if it is described."""
    try:
        text = (app / LAYOUT).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [f"\n      | {line}".rstrip() for line in map(_visible, text.rstrip().split("\n"))]
    return "\nthe notebook describes the data as:".replace("\n", "\n      ") + "".join(lines)


def _visible(line: str) -> str:
    """Return a line without what a terminal would act on."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
