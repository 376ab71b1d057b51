"""The questions for a new repository: its first federation, given by options or in a terminal."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from federator.common.templates import Templates
from federator.errors import FederationFileError, InputError, Problem
from federator.federation import schema
from federator.federation.yaml_file import did_you_mean
from federator.notebook.dependencies import requirements
from federator.runtime.protocol.evaluation.tasks import NAMES

Answer = str | Sequence[str]

_QUESTIONS = {
    "federation": "Name of the federation",
    "task": f"What the model predicts ({', '.join(NAMES)})",
    "sites": "Names of its sites, with commas between",
    "labels": "Names of the classes, in the order of their numbers in the data",
    "images": "Registry namespace for its images, such as docker.io/acme (may wait)",
    "server": "Host of its server, such as fl.example.org (may wait)",
}
_LISTS = ("sites", "labels")
_NAMED = {  # the tasks with labels or classes, and those of the data that are made up
    "classification": ("negative", "positive"),
    "multilabel": ("finding-a", "finding-b", "finding-c"),
    "segmentation": ("background", "lesion"),
}


@dataclass(frozen=True)
class Answers:
    """A federation, as far as it must be known for a start; what may wait is empty."""

    federation: str
    task: str = "classification"
    sites: tuple[str, ...] = ("hospital-a", "hospital-b")
    labels: tuple[str, ...] = ()
    images: str = ""
    server: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, or the classes with the background first; those of the task if not told."""
        return self.labels or _NAMED.get(self.task, ())

    @property
    def notebook(self) -> str:
        """The path of its notebook in the repository."""
        return f"notebooks/{self.federation}.ipynb"

    @property
    def script(self) -> str:
        """Where the program that makes up data lies in the repository."""
        return f"notebooks/{self.federation}_sites.py"

    @property
    def file(self) -> str:
        """The path of its federation file in the repository."""
        return f"{schema.FOLDER}/{self.federation}/{schema.FILE}"

    def told(self, question: str, answer: Answer) -> "Answers":
        """Return the answers with another one; a list may be a text with commas."""
        if question in _LISTS:
            parts = answer.split(",") if isinstance(answer, str) else answer
            answer = tuple(part.strip() for part in parts)
        return Answers(**(asdict(self) | {question: answer}))

    def text(self) -> str:
        """Return the federation file that says so.

        Raises:
            InputError: if an answer breaks a rule of that file.
        """
        if phrase := schema.misnamed(self.federation):
            raise InputError(f"the federation's name {phrase}")
        if self.task not in NAMES:
            known, close = ", ".join(NAMES), did_you_mean(self.task, NAMES)
            message = f"there is no task {self.task}; the tasks are {known}"
            raise InputError(Problem(message, hint=close or ""))
        if self.labels and self.task not in _NAMED:
            raise InputError(f"the task {self.task} has no labels")
        (torch,) = requirements.installed(["torch"])
        values = asdict(self) | {"torch": torch, "names": self.names}
        text = Templates().fill("repository/federation.yaml", **values)
        with tempfile.TemporaryDirectory() as scratch:
            for path, content in ((self.notebook, ""), (self.file, text)):
                Path(scratch, path).parent.mkdir(parents=True)
                Path(scratch, path).write_text(content, encoding="utf-8")
            try:
                schema.read(Path(scratch, self.file))
            except FederationFileError as error:  # of a file that nobody has seen: without lines
                found = (Problem(problem.message, hint=problem.hint) for problem in error.problems)
                raise InputError(*found) from None
        return text


def gather(folder: Path, given: Mapping[str, Answer | None], ask: bool) -> Answers:
    """Return what is given, and of the rest what is usual, or what a person says.

    Args:
        folder: the folder of the new repository, after which the federation is usually called.
        given: answers by the names of the fields; an empty one is none.
        ask: whether to ask for the rest in the terminal, each question until its answer is right.

    Raises:
        InputError: if an answer that is given breaks a rule of the federation file.
    """
    name = re.sub("[^a-z0-9]+", "-", folder.resolve().name.lower()).lstrip("-0123456789")
    answers = Answers(name[:32].rstrip("-") or "federation")
    for question, answer in given.items():
        answers = answers.told(question, answer) if answer else answers
    answers.text()
    for question in _QUESTIONS if ask else ():
        unneeded = given.get(question) or (question == "labels" and answers.task not in _NAMED)
        answers = answers if unneeded else _asked(question, answers)
    return answers


def _asked(question: str, answers: Answers) -> Answers:
    def heard(said: str) -> Answers:
        told = answers.told(question, said.strip())
        try:
            told.text()
        except InputError as error:
            raise typer.BadParameter(str(error)) from None
        return told

    usual = answers.names if question == "labels" else getattr(answers, question)
    usual = ", ".join(usual) if question in _LISTS else usual
    told: Answers = typer.prompt(
        _QUESTIONS[question], usual, show_default=bool(usual), value_proc=heard
    )
    return told
