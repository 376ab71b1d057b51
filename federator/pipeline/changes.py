"""Which federations a push concerns, worked out from its commits.

What is generated concerns none: a commit of compose files starts nothing.
"""

import re
from pathlib import Path

from federator.common import git
from federator.common.git import GitError
from federator.common.templates import FOLDER as TEMPLATES
from federator.errors import FederationFileError
from federator.federation import schema
from federator.federation.schema import FILE

COMPOSE, NOTEBOOKS = "compose", "notebooks"
_OF_ALL = (TEMPLATES, "requirements.txt")  # what everything is generated with
_OF_ONE = (FILE, "sites", "public")
_COMMIT = re.compile("(?!0+$)[0-9a-f]{40,64}")


def folders(root: Path) -> list[Path]:
    """Return the folders of a repository's federations, by name."""
    return sorted(file.parent for file in (root / COMPOSE).glob(f"*/{FILE}"))


def affected(root: Path, since: str) -> list[Path]:
    """Return the folders of the federations that the commits after ``since`` concern.

    All of them, if ``since`` is no commit that the present one builds on: after the first push,
    after one that rewrote what was there, and where there was no push.

    Raises:
        GitError: if git fails.
    """
    root = root.resolve()
    if not _is_built_on(root, since):
        return folders(root)
    listed = git.run(root, "diff", "--name-only", "--no-renames", "-z", since, "HEAD")
    changed = [root / path for path in listed.split("\0") if path]
    touched = {place for path in changed for place in (path, *path.parents)}
    return [folder for folder in folders(root) if not touched.isdisjoint(_inputs(root, folder))]


def _is_built_on(root: Path, since: str) -> bool:
    if not _COMMIT.fullmatch(since):
        return False
    try:
        git.run(root, "merge-base", "--is-ancestor", since, "HEAD")
    except GitError:  # it is not, or is not known here at all
        return False
    return True


def _inputs(root: Path, folder: Path) -> set[Path]:
    """Return the files and folders that a federation's images and compose files are made of."""
    inputs = {root / name for name in _OF_ALL} | {folder / name for name in _OF_ONE}
    try:
        read = schema.read(folder)
    except FederationFileError:  # which notebook it means is not known: it may be one that is gone
        return inputs | {root / NOTEBOOKS}
    return inputs | {read.notebook} | ({read.initial_weights} if read.initial_weights else set())
