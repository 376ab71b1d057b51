"""The errors of the library: what went wrong, where, and what to do about it.

One tree. The command line prints a :class:`FederatorError` unchanged and exits with its
``exit_code``; anything else that reaches the command line is a bug and shows its traceback.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Where:
    """A place in something that a person wrote.

    ``cell`` counts all cells of a notebook from 1, Markdown included, as a reader sees them;
    ``line`` counts from 1 inside that cell, or inside the file where there is no cell.
    """

    file: str
    cell: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        parts = []
        if self.cell is not None:
            parts.append(f"cell {self.cell}")
        if self.line is not None:
            parts.append(f"line {self.line}")
        return f"{self.file}: {', '.join(parts)}" if parts else self.file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong (or, as a warning, doubtful), with its place and its remedy."""

    message: str
    where: Where | None = None
    hint: str | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n    {self.hint}" if self.hint else text


class FederatorError(Exception):
    """Base of all errors that the command line explains instead of showing a traceback."""

    exit_code = 1

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(FederatorError):
    """Something that the user wrote is wrong; nothing was built."""

    exit_code = 2


class FederationFileError(InputError):
    """The federation file is wrong."""


class NotebookError(InputError):
    """The notebook cannot be converted."""


class RequirementError(InputError):
    """An import of the notebook cannot be turned into something to install."""


class RunError(FederatorError):
    """The federation could not be started, or ended without a model."""


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception, whoever's it is, and those that led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
