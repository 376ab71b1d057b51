"""What a push is to build: the federations that it concerns, each checked and converted."""

from dataclasses import dataclass, replace
from pathlib import Path

from federator.app.convert import convert
from federator.errors import FederatorError, InputError, Problem
from federator.federation import schema
from federator.federation.schema import FILE
from federator.pipeline import changes


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        build: names of the federations whose images are to be built.
        rehearsed: of those that name no registry: they are run on one machine only.
        left: of those that the push does not concern.
        warnings: what is doubtful.
    """

    build: tuple[str, ...]
    rehearsed: tuple[str, ...]
    left: tuple[str, ...]
    warnings: tuple[Problem, ...]


def make(root: Path, since: str) -> Plan:
    """Check and convert the federations that the commits after ``since`` concern.

    Raises:
        InputError: with all that is wrong in any of them.
        GitError: if git fails.
    """
    root = root.resolve()
    concerned = changes.affected(root, since)
    build: list[str] = []
    rehearsed: list[str] = []
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for folder in concerned:
        try:
            read = schema.read(folder)
            warnings += convert(read, root / "build").warnings
            (build if read.images else rehearsed).append(read.name)
        except FederatorError as error:
            problems += (_placed(problem, folder.relative_to(root)) for problem in error.problems)
    if problems:
        raise InputError(*dict.fromkeys(problems))
    left = [folder.name for folder in changes.folders(root) if folder not in concerned]
    return Plan(tuple(build), tuple(rehearsed), tuple(left), tuple(dict.fromkeys(warnings)))


def _placed(problem: Problem, folder: Path) -> Problem:
    """Say which of several federation files is meant."""
    if problem.where is None or problem.where.file != FILE:
        return problem
    return replace(problem, where=replace(problem.where, file=str(folder / FILE)))
