"""What a push is to build: the federations that its commits concern, each checked and converted.

What is generated concerns none: a commit of compose files starts nothing.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from federator.app.convert import convert
from federator.common import git
from federator.common.git import GitError
from federator.common.templates import FOLDER as TEMPLATES
from federator.errors import FederationFileError, FederatorError, InputError, Problem
from federator.federation import schema
from federator.federation.schema import FILE, FOLDER

NOTEBOOKS = "notebooks"
_OF_ALL = (TEMPLATES, "requirements.txt", "requirements.lock")  # what everything is generated with
_OF_ONE = (FILE, "sites", "public")
_COMMIT = re.compile("(?!0+$)[0-9a-f]{40,64}")


@dataclass(frozen=True)
class Plan:
    """What to build, and what not.

    Attributes:
        build: names of the federations whose images are to be built.
        local_only: of those that name no registry, so they run on one machine only.
        unconcerned: of those that the push does not concern.
        warnings: what is doubtful.
    """

    build: tuple[str, ...]
    local_only: tuple[str, ...]
    unconcerned: tuple[str, ...]
    warnings: tuple[Problem, ...]


def make(root: Path, since: str) -> Plan:
    """Check and convert the federations that the commits after ``since`` concern.

    Raises:
        InputError: with all that is wrong in any of them.
        GitError: if git fails.
    """
    root = root.resolve()
    concerned = affected(root, since)
    build: list[str] = []
    local_only: list[str] = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for folder in concerned:
        try:
            read = schema.read(folder)
            warnings += convert(read, root / "build").warnings
            (build if read.images else local_only).append(read.name)
        except FederatorError as error:
            problems += (_placed(problem, folder.relative_to(root)) for problem in error.problems)
    if problems:
        raise InputError(*dict.fromkeys(problems))
    unconcerned = [folder.name for folder in folders(root) if folder not in concerned]
    return Plan(tuple(build), tuple(local_only), tuple(unconcerned), tuple(dict.fromkeys(warnings)))


def folders(root: Path) -> list[Path]:
    """Return the folders of a repository's federations, by name."""
    return sorted(file.parent for file in (root / FOLDER).glob(f"*/{FILE}"))


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


def _placed(problem: Problem, folder: Path) -> Problem:
    """Say which of several federation files is meant."""
    if problem.where is None or problem.where.file != FILE:
        return problem
    return replace(problem, where=replace(problem.where, file=str(folder / FILE)))


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
