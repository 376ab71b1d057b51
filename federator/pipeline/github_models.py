"""The parts of GitHub's answers about workflow runs that are used here.

https://docs.github.com/rest/actions has all of it.
"""

from typing import Annotated

from pydantic import AfterValidator, BaseModel


def printable(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return "".join(char for char in text if char.isprintable())


Words = Annotated[str, AfterValidator(printable)]


class Repository(BaseModel):
    """A repository: its page and the branch that workflows are started on."""

    html_url: Words
    default_branch: Words


class Run(BaseModel):
    """A workflow run. ``conclusion`` is null until ``status`` is ``completed``."""

    id: int
    html_url: Words
    display_title: Words = ""
    status: Words | None = None
    conclusion: Words | None = None


class Step(BaseModel):
    """A step of a job."""

    name: Words
    status: Words
    conclusion: Words | None = None


class Job(BaseModel):
    """A job of a run; ``labels`` are those that its runner must have."""

    name: Words
    status: Words
    conclusion: Words | None = None
    html_url: Words | None = None
    labels: list[Words] = []
    steps: list[Step] = []


class Environment(BaseModel):
    """What guards a deployment."""

    name: Words


class _Person(BaseModel):
    login: Words = ""  # of a user
    name: Words | None = None  # of a team; a user may have one as well


class _Reviewer(BaseModel):
    reviewer: _Person


class Approval(BaseModel):
    """What a run waits for before a job may use an environment."""

    environment: Environment
    reviewers: list[_Reviewer] = []
    wait_timer: int = 0
    current_user_can_approve: bool = False

    @property
    def approvers(self) -> list[str]:
        """The names of the users and teams, one of which must approve."""
        return [one.reviewer.login or one.reviewer.name or "?" for one in self.reviewers]


class Artifact(BaseModel):
    """A zip that a run has uploaded."""

    id: int
    name: str
    size_in_bytes: int
    expired: bool = False
