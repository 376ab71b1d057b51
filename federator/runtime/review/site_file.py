"""A site's compose file, taken apart: its settings, its code, and what a site must not accept.

Everything stands in the file: images by digest, settings, and the code that runs beside the data.
The code is the app whose hash the file names, the only one that the site's link takes part in;
that is computed again here. Nothing is asked of the network.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from federator.errors import InputError, Problem
from federator.runtime import app_files
from federator.runtime.review import cohort, yaml_tree
from federator.runtime.review.conformity import departures
from federator.runtime.review.yaml_tree import Tree

APP = "x-app"
"""The key in a compose file under which the app's files stand, every dollar sign doubled."""

_HASH = ("services", "link", "environment", "FEDERATOR_APP_HASH")


@dataclass(frozen=True)
class SiteFile:
    """A site's compose file, taken apart.

    Attributes:
        name: how a person calls it.
        content: the file.
        tree: everything in it but the app.
        app: the app's files by name.
    """

    name: str
    content: bytes
    tree: Tree
    app: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "SiteFile":
        """Read a file.

        Raises:
            InputError: if it cannot be read, or is not a compose file.
        """
        try:
            return cls.parse(path.name, path.read_bytes())
        except OSError as error:
            hint = "it must be in the folder of compose.yaml, and readable for every user"
            raise InputError(Problem(f"{path}: {error.strerror}", hint=hint)) from None

    @classmethod
    def parse(cls, name: str, content: bytes) -> "SiteFile":
        """Take a file's content apart.

        Raises:
            InputError: if it is not that of a compose file.
        """
        tree = yaml_tree.parse(name, content)
        if not isinstance(tree.value, dict) or "services" not in tree.value:
            raise InputError(f"{name}: is not a compose file")
        app = tree.value.pop(APP, Tree(0, {})).value
        if not isinstance(app, dict) or not all(map(app_files.is_name, app)):
            raise InputError(f"{name}: {APP} is not a list of an app's files")
        texts = {file: str(text.value).replace("$$", "$") for file, text in app.items()}
        return cls(name, content, tree, texts)

    @property
    def settings(self) -> tuple[str, ...]:
        """A line for each value but the app, with its keys; of values that are there again, one."""
        return tuple(_flat(self.tree, {}))

    @property
    def problems(self) -> Iterator[str]:
        """What a site must not accept."""
        yield from departures(self.tree)
        yield from cohort.problems(self.tree)
        if not self.app:
            yield "it does not show the code that runs beside the data"
            return
        try:
            shown = _hash(self.app)
        except (InputError, ValueError) as error:
            yield f"the code that it shows is no app: {error}"
            return
        named = self.tree.get(*_HASH)
        if named is None or named.value != shown:
            yield "the code that it shows is not the app whose hash it names"


def _flat(tree: Tree, shown: dict[int, str], path: str = "") -> Iterator[str]:
    """Return a line for each value, with the keys that lead to it, and for each item of a list.

    Args:
        tree: the values.
        shown: where those values are that have been, by their identity: YAML's aliases have one.
        path: the keys that lead to the values.
    """
    several = bool(tree.value) and not isinstance(tree.value, str)
    if several and (same := shown.setdefault(id(tree), path)) != path:
        yield f"{path}: as {same}"
    elif isinstance(tree.value, dict) and tree.value:
        for key, value in tree.value.items():
            yield from _flat(value, shown, f"{path}.{key}" if path else key)
    elif isinstance(tree.value, list):
        for item in tree.value:
            one = item.plain
            yield f"{path}: - {one if isinstance(one, str) else json.dumps(one)}"
    else:
        yield from (f"{path}: {line}" for line in str(tree.value or "").splitlines() or [""])


def _hash(app: dict[str, str]) -> str:
    from federator.runtime.flower import app_hash  # slow to import

    with tempfile.TemporaryDirectory() as folder:
        app_files.write(Path(folder), app)
        return app_hash(Path(folder))
