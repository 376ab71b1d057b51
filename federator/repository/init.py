"""A repository of one's own, made in one go.

Its notebook and its federation file are the author's from the first day. The other files follow
the installed version of this package: ``.federator.json`` keeps the SHA-256 of each as it was
generated, so that one which the author has changed since is known.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Annotated

from packaging.version import Version
from pydantic import AfterValidator, BaseModel

import federator
from federator.common.templates import Templates, shipped
from federator.errors import FederatorError, InputError, Problem
from federator.federation import schema
from federator.notebook.dependencies.distributions import direct_url
from federator.repository.answers import Answers
from federator.repository.notebook import notebook, sites_script
from federator.runtime import files

RECORD = ".federator.json"
_WORKFLOWS, _COPIED = ".github/workflows", ("federate.yml", "rounds.yml")


def _inside(path: str) -> str:
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("leads out of the repository")
    return path


class Record(BaseModel):
    """What was generated: the version that did it, for which federation, each file's SHA-256."""

    version: str
    federation: str
    files: dict[Annotated[str, AfterValidator(_inside)], str]

    @classmethod
    def of(cls, name: str, files: Mapping[str, bytes]) -> "Record":
        """Return the record of what this version generates."""
        hashes = {path: sha256(files[path]) for path in sorted(files)}
        return cls(version=federator.__version__, federation=name, files=hashes)

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """Return the record of a repository.

        Raises:
            InputError: if there is none, it is damaged, or a newer version wrote it.
        """
        try:
            record = cls.model_validate_json((folder / RECORD).read_bytes())
            newer = Version(record.version) > Version(federator.__version__)
        except FileNotFoundError:
            message = f"{folder.resolve()} was not made by federator init: it has no {RECORD}"
            raise InputError(Problem(message, hint="go to the repository's folder")) from None
        except (OSError, ValueError):
            hint = f"get it back: git checkout {RECORD}"
            raise InputError(Problem(f"{folder / RECORD} is damaged", hint=hint)) from None
        if newer:
            message = f"this repository is of version {record.version}, and installed is an older"
            hint = "install that of the repository: pip install -r requirements.txt"
            raise InputError(Problem(message, hint=hint))
        return record

    def write(self, folder: Path) -> None:
        """Write it into a repository."""
        write(folder / RECORD, f"{self.model_dump_json(indent=2)}\n".encode())


def exists(folder: Path, given: Mapping[str, object]) -> bool:
    """Return whether a folder is such a repository; if it is not, one can be made there.

    Args:
        folder: the folder; one that is empty, or has only been cloned, is none.
        given: what a new one's federation is to be.

    Raises:
        InputError: if it holds something else, or is one, and something is given.
    """
    found = (folder / RECORD).exists()
    if found and any(given.values()):
        hint = "edit its federation file; or, without options, bring it to this version"
        raise InputError(Problem(f"{folder} is a repository already", hint=hint))
    if folder.exists() and not folder.is_dir():
        raise InputError(Problem(f"{folder} is a file", hint="give a new folder"))
    if not found and folder.exists() and any(e.name != ".git" for e in folder.iterdir()):
        raise InputError(Problem(f"{folder} is not empty", hint="give a new folder"))
    return found


def init(folder: Path, answers: Answers) -> None:
    """Make a repository in a new or empty folder, complete or not at all. Nothing is committed.

    Raises:
        InputError: if an answer is wrong.
        FederatorError: if it cannot be written, or git is missing.
    """
    if shutil.which("git") is None:
        raise FederatorError(Problem("there is no git on this machine", hint="install it"))
    own = {
        answers.file: answers.text().encode(),
        answers.notebook: notebook(answers),
        answers.script: sites_script(answers),
    }
    texts = generated(answers.federation)
    new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".federator-", dir=folder) as beside:
            for path, content in (own | texts).items():
                write(Path(beside, path), content)
            Record.of(answers.federation, texts).write(Path(beside))
            if not (folder / ".git").exists():
                command = ("git", "init", "--quiet", "--initial-branch=main", beside)
                subprocess.run(command, check=True, capture_output=True, text=True)
            for entry in tuple(Path(beside).iterdir()):
                entry.rename(folder / entry.name)
    except BaseException as error:
        if new:
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            raise FederatorError(f"git init failed: {error.stderr.strip()}") from None
        if isinstance(error, OSError):
            raise FederatorError(f"{folder} cannot be made: {error}") from None
        raise


def next_steps(folder: Path, answers: Answers) -> str:
    """Return what is to be done in a new repository."""
    names = {name: getattr(answers, name) for name in ("federation", "notebook", "script", "sites")}
    return Templates().fill("repository/next.txt", folder=folder.resolve(), **names)


def generated(name: str) -> dict[str, bytes]:
    """Return what this version generates in the repository of a federation, by its place there."""
    templates = Templates()
    texts = {
        ".gitignore": templates.read("repository/gitignore"),
        ".github/dependabot.yml": templates.read("repository/dependabot.yml"),
        ".github/CODEOWNERS": templates.read("repository/CODEOWNERS"),
        ".pre-commit-config.yaml": templates.read("repository/pre-commit-config.yaml"),
        "requirements.lock": templates.read("repository/requirements.lock"),
        "README.md": templates.fill("repository/README.md", federation=name),
        f"{schema.FOLDER}/federation.schema.json": schema.schema(),
        "requirements.txt": templates.fill(
            "repository/requirements.txt", requirement=_requirement()
        ),
    }
    workflows = shipped(_WORKFLOWS)
    copies = {f"{_WORKFLOWS}/{file}": (workflows / file).read_bytes() for file in _COPIED}
    return copies | {path: text.encode() for path, text in texts.items()}


def _requirement() -> str:
    """Return what pip needs to install this version elsewhere: its commit, or its number.

    pip records where a package came from:
    https://packaging.python.org/en/latest/specifications/direct-url/
    """
    name = "notebook-federator[author]"
    recorded = direct_url(metadata.distribution("notebook-federator"))
    if commit := recorded.get("vcs_info", {}).get("commit_id"):
        return f"{name} @ git+{recorded['url']}@{commit}"
    return f"{name}=={federator.__version__}"


def sha256(content: bytes | None) -> str | None:
    """Return the hash that the record keeps of a file; None of one that is not there."""
    return None if content is None else files.sha256(content)


def write(path: Path, content: bytes | None) -> None:
    """Write a file of the repository, complete or not at all; without content, remove it."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, content)
