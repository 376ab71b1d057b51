"""Files beside a site's file that Compose reads with it: what they change is refused.

Compose merges a ``compose.override.yaml`` into the file that it lies beside, and ``.env`` may name
other files. One override is permitted: that of a bundle, which names the images that the site has
loaded, each by the digest that stands in the site's file (deploy/bundle.py).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from federator.errors import InputError
from federator.runtime.review import yaml_tree
from federator.runtime.review.conformity import compared
from federator.runtime.review.permitted import SERVICES, Keys, Optional
from federator.runtime.review.yaml_tree import Tree

_MERGED = tuple(
    f"{name}.override.{ending}"
    for name in ("compose", "docker-compose")
    for ending in ("yaml", "yml")
)
"""Files that Compose adds to a compose.yaml that they lie beside."""

_SETTINGS = ".env"
_NAMES_FILES = re.compile(r"^\s*(?:export\s+)?(COMPOSE_(?:FILE|ENV_FILES))\s*[=:]", re.MULTILINE)


def merged(path: Path, file: Tree) -> Iterator[str]:
    """Yield how Compose would read something else than a site's file says.

    Args:
        path: the site's file.
        file: what is in it.
    """
    for name in _MERGED:
        if (beside := path.with_name(name)).exists():
            yield from (f"{name} lies beside it, {problem}" for problem in _override(beside, file))
    try:
        text = path.with_name(_SETTINGS).read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"{_SETTINGS} cannot be read ({error.strerror}): it may name other files"
        return
    for found in _NAMES_FILES.finditer(text):
        line = text.count("\n", 0, found.start(1)) + 1
        yield f"{_SETTINGS}, line {line}: {found[1]} names other files for Compose"


def _override(path: Path, file: Tree) -> Iterator[str]:
    try:
        tree = yaml_tree.parse(path.name, path.read_bytes())
    except OSError as error:
        yield f"and cannot be read: {error.strerror}"
    except InputError as error:
        yield f"and is no file of a bundle: {error}"
    else:
        yield from compared(tree, _of_bundle(file), (), "bundle")


def _of_bundle(file: Tree) -> Keys:
    """Return all that may stand in a bundle's override of a site's file."""
    services: dict[str, Optional] = {}
    for name in SERVICES:
        image = file.get("services", name, "image")
        loaded = str(image.value if image else "").replace("@sha256:", ":sha256-")
        services[name] = Optional({"image": loaded, "pull_policy": "never"})
    return {"services": services}
