"""``%federator push``: a commit of the notebook and what belongs to it, and of nothing else.

The commit is made from an index of its own, so what else is staged stays staged. The notebook goes
in without its outputs, which may show patients; the file on disk keeps them. The repository's hooks
run as for any commit.
"""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
from IPython.core.error import StdinNotImplementedError

from federator.common import git
from federator.common.git import GitError
from federator.errors import InputError, Problem
from federator.federation.schema import FILE, Federation
from federator.jupyter.subject import Subject
from federator.notebook import contract

_NOBODY_ANSWERS = {"GIT_TERMINAL_PROMPT": "0"}


def push(subject: Subject, message: str | None, yes: bool) -> None:
    """Commit a notebook with its federation file, and push the branch.

    Args:
        subject: the notebook, which must be saved, with its federation.
        message: what the commit says; asked for if absent.
        yes: whether nothing is asked.

    Raises:
        InputError: if the notebook cannot be converted or is not saved, if nothing has changed, or
            if the answer is no.
        GitError: if git fails, with its output.
    """
    read = subject.required()
    if subject.notebook.unsaved:
        raise InputError(Problem("the notebook is not saved", hint=subject.notebook.told))
    root = Path(git.run(read.folder, "rev-parse", "--show-toplevel").strip())
    branch = git.ask(root, "symbolic-ref", "--quiet", "--short", "HEAD")
    if not branch or git.ask(root, "rev-parse", "--quiet", "--verify", "MERGE_HEAD"):
        what = "a merge is under way" if branch else "no branch is checked out"
        raise InputError(Problem(f"{what}: nothing was committed", hint="end that in a terminal"))
    with tempfile.TemporaryDirectory() as scratch:
        own = {"GIT_INDEX_FILE": str(Path(scratch, "index"))}
        files = _files(subject, read, root)
        _stage(root, files, subject.notebook.path, Path(scratch), own)
        changed = git.run(root, "diff", "--cached", "--name-status", env=own).strip()
        if not changed:
            raise InputError(f"nothing of {', '.join(files)} has changed since the last commit")
        print(f"to be committed to {branch}, the notebook without its outputs:\n{changed}")
        if earlier := git.ask(root, "log", "--oneline", "@{upstream}..HEAD"):
            print(f"commits that were not pushed yet, and go along:\n{earlier}")
        message = message or _ask("what the commit says: ", "--message TEXT")
        if not message.strip():
            raise InputError("the commit says nothing: nothing was committed")
        if not yes and _ask("commit and push? [y/N] ", "--yes").lower() not in ("y", "yes"):
            raise InputError("not confirmed: nothing was committed")
        print(git.run(root, "commit", "--message", message, env=own).strip())
    git.run(root, "reset", "--quiet", "HEAD", "--", *files)  # the usual index has them now, too
    _push(root, branch)


def _files(subject: Subject, read: Federation, root: Path) -> list[str]:
    """Return what belongs to the notebook, relative to the repository.

    Raises:
        NotebookError: if the notebook cannot be converted.
        InputError: if something is outside of the repository.
    """
    beside = contract.take_apart(subject.notebook.source).local_files
    files = [subject.notebook.path, read.folder / FILE]
    # A file that a cell writes is in the notebook.
    files += [
        subject.notebook.path.parent / file.path
        for file in (*beside.modules, *beside.assets)
        if file.cell is None
    ]
    top = root.resolve()
    if outside := [file for file in files if not file.resolve().is_relative_to(top)]:
        raise InputError(f"{outside[0]} is not in the repository {top}: nothing was committed")
    return [file.resolve().relative_to(top).as_posix() for file in files]


def _stage(
    root: Path, files: Iterable[str], notebook: Path, scratch: Path, own: Mapping[str, str]
) -> None:
    """Fill an index with the last commit and these files."""
    if git.ask(root, "rev-parse", "--quiet", "--verify", "HEAD"):
        git.run(root, "read-tree", "HEAD", env=own)
    stripped = scratch / "stripped.ipynb"
    nbformat.write(_without_outputs(notebook), stripped)
    for file in files:
        if (root / file).samefile(notebook):
            path = ("--path", file, str(stripped))
            content = git.run(root, "hash-object", "-w", *path).strip()
            entry = ("--cacheinfo", f"100644,{content},{file}")
            git.run(root, "update-index", "--add", *entry, env=own)
        else:
            git.run(root, "add", "--", file, env=own)


def _without_outputs(notebook: Path) -> nbformat.NotebookNode:
    node: nbformat.NotebookNode = nbformat.read(notebook, as_version=nbformat.NO_CONVERT)
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)  # when it was run
    return node


def _ask(question: str, option: str) -> str:
    """Ask the person at the notebook.

    Raises:
        InputError: if the front end cannot ask.
    """
    try:
        return input(question)
    except (StdinNotImplementedError, EOFError):
        hint = f"say it: %federator push … {option}"
        raise InputError(Problem("this front end cannot ask", hint=hint)) from None


def _push(root: Path, branch: str) -> None:
    """Push the branch to where it is pushed usually.

    Raises:
        GitError: if that fails; the commit is there.
    """
    remote, ref = (git.ask(root, "config", f"branch.{branch}.{key}") for key in ("remote", "merge"))
    if not (remote and ref):
        print(f"not pushed: once, in a terminal: git push --set-upstream origin {branch}")
        return
    try:
        git.run(root, "push", remote, f"HEAD:{ref}", env=_NOBODY_ANSWERS)
    except GitError as error:
        hint = "The commit is made: once this is mended, push it in a terminal (git push)."
        raise GitError(Problem(str(error), hint=hint)) from None
    print(f"pushed to {remote}")
