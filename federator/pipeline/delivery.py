"""Commit the compose files that a run of the pipeline wrote.

The commit is on top of the branch as it is at that moment. A federation that a later push concerns
is left to the run of that push, so an older run never undoes a newer one. If the branch is
protected, each federation's files go to a branch of their own, for a pull request.
"""

import base64
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from federator.common import git
from federator.common.git import GitError
from federator.errors import InputError
from federator.federation.schema import FILE, FOLDER
from federator.pipeline import plan

PREFIX = "compose-"
"""What the name of an artifact with compose files starts with, before the federation's."""

_SUFFIXES = (".yaml", ".conf", ".example")
_PATIENCE, _PAUSE = 120.0, 2.0  # seconds
# What git or GitHub answers to a push: the branch has moved; the branch is protected.
_MOVED = ("fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref")
_PROTECTED = ("GH006", "GH013", "declined")
# The account of GitHub Actions, so that GitHub shows its name and picture: 41898282 is its id.
_NAME, _MAIL = "github-actions[bot]", "41898282+github-actions[bot]@users.noreply.github.com"
_BOT = {f"GIT_{who}_NAME": _NAME for who in ("AUTHOR", "COMMITTER")} | {
    f"GIT_{who}_EMAIL": _MAIL for who in ("AUTHOR", "COMMITTER")
}

Propose = Callable[[str, str], str]


@dataclass
class Delivery:
    """Where the files of each federation are now.

    Attributes:
        committed: names of those whose files are on the branch now.
        proposed: names of those that wait for a pull request, with its address.
        unchanged: names of those whose files were there already, to the byte.
        left_out: names of those that a later push concerns, or removed.
    """

    committed: list[str] = field(default_factory=list)
    proposed: dict[str, str] = field(default_factory=dict)
    unchanged: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Committer:
    """Commits compose files to a branch of ``origin``.

    Attributes:
        root: a clone of the repository; its own branch and files stay as they are.
        branch: the branch to commit to.
        built: the commit that they were made from.
        propose: opens a pull request for a branch, with a title, and returns its address.
    """

    root: Path
    branch: str
    built: str
    propose: Propose

    def deliver(self, made: Path) -> Delivery:
        """Bring what is in the folders ``compose-NAME`` of a folder.

        Raises:
            InputError: if there is something else than compose files.
            GitError: if the remote takes neither a commit nor a branch.
        """
        folders = {one.name.removeprefix(PREFIX): one for one in sorted(made.glob(f"{PREFIX}*"))}
        deadline = time.monotonic() + _PATIENCE
        while True:
            with self._tip() as tree:
                delivery = self._commit(tree, folders)
                if not delivery.committed:
                    return delivery
                try:
                    self._push(tree, self.branch)
                    return delivery
                except GitError as error:
                    if any(word in str(error) for word in _PROTECTED):
                        break
                    if not any(word in str(error) for word in _MOVED):
                        raise
                    if time.monotonic() > deadline:
                        raise
            time.sleep(random.uniform(0, _PAUSE))  # so that two runs do not meet again
        for name in delivery.committed:
            with self._tip() as tree:
                self._commit(tree, {name: folders[name]})
                self._push(tree, f"federator/{name}", force=True)
            title = f"Compose files of {name}"
            delivery.proposed[name] = self.propose(f"federator/{name}", title)
        delivery.committed.clear()
        return delivery

    @contextmanager
    def _tip(self) -> Iterator[Path]:
        """Give the branch as it is at the remote, in a folder of its own."""
        ref = f"refs/heads/{self.branch}"
        git.run(self.root, "fetch", "--quiet", "--no-tags", "origin", ref, env=_login())
        with tempfile.TemporaryDirectory(prefix="federator-") as folder:
            tree = Path(folder, "tree")
            git.run(self.root, "worktree", "add", "--quiet", "--detach", str(tree), "FETCH_HEAD")
            try:
                yield tree
            finally:
                git.run(self.root, "worktree", "remove", "--force", str(tree))

    def _commit(self, tree: Path, folders: Mapping[str, Path]) -> Delivery:
        """Commit what is new, one commit for each federation."""
        delivery = Delivery()
        newer = {folder.name for folder in plan.affected(tree, self.built)}
        known = {folder.name for folder in plan.folders(tree)} - newer
        for name, folder in folders.items():
            place = tree / FOLDER / name
            if name not in known:
                delivery.left_out.append(name)
                continue
            for file in _files(folder):
                (place / file.name).unlink(missing_ok=True)  # it might be a link elsewhere
                shutil.copyfile(file, place / file.name)
            git.run(tree, "add", "--", str(place))
            if not git.run(tree, "status", "--porcelain", "--", str(place)):
                delivery.unchanged.append(name)
                continue
            message = f"Compose files of {name}\n\nMade from {self.built}."
            git.run(tree, "commit", "--quiet", "--no-verify", f"--message={message}", env=_BOT)
            delivery.committed.append(name)
        return delivery

    def _push(self, tree: Path, branch: str, force: bool = False) -> None:
        ref = f"{'+' if force else ''}HEAD:refs/heads/{branch}"
        git.run(tree, "push", "--porcelain", "origin", ref, env=_login())


def _files(folder: Path) -> Iterator[Path]:
    """Return the compose files in a folder; nothing else may be brought into the repository."""
    for file in sorted(folder.iterdir()):
        plain = file.is_file() and not file.is_symlink()
        if not plain or file.suffix not in _SUFFIXES or file.name == FILE:
            raise InputError(f"{file}: is no compose file")
        yield file


def _login() -> dict[str, str]:
    """Return an environment in which git shows the job's token to GitHub, and to nobody else."""
    server, token = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_TOKEN")
    if not server or not token:
        return {}
    login = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{server}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
    }
