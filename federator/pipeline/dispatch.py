"""Start rounds on a federation's server through GitHub Actions, and follow the workflow run.

The rounds run on the server whether or not anyone follows them: if the connection breaks, only the
view of them is lost.
"""

import os
import secrets
import shlex
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from federator.common import files, http_client
from federator.errors import FederatorError, InputError, Problem, RunError, Where
from federator.federation import schema
from federator.federation.schema import Federation
from federator.pipeline import github_env, run_status
from federator.pipeline.github import Actions
from federator.pipeline.github_errors import GitHubError, NotFoundError
from federator.pipeline.github_models import Approval, Run
from federator.pipeline.run_status import Update
from federator.results.terminal import print_line, progress_bar

WORKFLOW = "rounds.yml"
ARTIFACT = "report"

_LIMIT = 2**28  # bytes of a report
_PATIENCE = http_client.Patience(limit=900.0, pause=2.0)  # seconds
_INTERVAL = (
    5.0  # seconds: two requests each make 1440 an hour, of the 5000 that GitHub allows a user
)


class StoppedError(FederatorError):
    """The user stopped following a run."""

    exit_code = 130


def find(given: Path) -> Federation:
    """Read a federation of this repository, given as its name, its folder or its file.

    Raises:
        FederationFileError: if it is not there, or is wrong.
        InputError: if it is where the workflows do not look for it.
    """
    compose = Path(schema.FOLDER)
    is_name = len(given.parts) == 1 and compose.is_dir()
    found = schema.read(compose / given if is_name else given)
    if found.folder.parent.name != schema.FOLDER:
        hint = f"the workflows find a federation as {schema.FOLDER}/<name>"
        raise InputError(
            Problem(f"{found.folder} is not in a folder named {schema.FOLDER}", hint=hint)
        )
    return found


def prepare(found: Federation, name: str | None = None) -> "Dispatch":
    """Return what starts rounds, with the token of the environment; nothing is sent yet.

    Args:
        found: the federation.
        name: ``owner/name`` of its repository; if absent, that of git's origin.

    Raises:
        InputError: if there is no token, or it is not known which repository it is.
    """
    api, token = github_env.address(), github_env.token()
    if name is None:
        name = github_env.origin(found.root, github_env.host(api))
    return Dispatch(found, Actions(github_env.checked(name), api, token, _PATIENCE))


class Dispatch:
    """Starts rounds and follows them.

    Args:
        found: the federation.
        actions: the repository that it is in.
        interval: seconds between two requests.
        appears: seconds that a run may take to appear.
    """

    def __init__(
        self,
        found: Federation,
        actions: Actions,
        interval: float = _INTERVAL,
        appears: float = 60.0,
    ) -> None:
        self._federation, self._actions = found, actions
        self._interval, self._appears = interval, appears
        self._page = ""  # of the workflow, once it has been started
        self._run: Run | None = None

    def events(
        self,
        rounds: int | None = None,
        epochs: int | None = None,
        fresh: bool = False,
        branch: str | None = None,
        follow: int | None = None,
    ) -> Iterator[Update]:
        """Start rounds, or follow the workflow run ``follow``, until it has ended.

        Args:
            rounds: how many.
            epochs: local epochs in each; if absent, those of the federation file.
            fresh: whether to begin with the first model instead of going on from the last.
            branch: the workflow is run as it is there; if absent, on the default branch.
            follow: number of a run.

        Raises:
            InputError: unless there is one of ``rounds`` and ``follow``.
            RunError: if the run did not succeed.
            WebError: if GitHub refused, or could not be asked.
        """
        if (rounds is None) == (follow is None):
            raise InputError("give either --rounds, or --follow with the number of a run")
        if follow is None:
            inputs = {"federation": self._federation.name, "rounds": str(rounds)}
            inputs |= {"epochs": str(epochs)} if epochs else {}
            inputs |= {"mode": "fresh" if fresh else "resume"}
            follow = yield from self._order(inputs, branch)
        yield from self._follow(follow)

    @contextmanager
    def resumable(self) -> Iterator[None]:
        """Say how to follow a run again, if the connection is lost before it has ended.

        Raises:
            StoppedError: on Ctrl-C.
            WebError: if GitHub or the network refused.
        """
        try:
            yield
        except KeyboardInterrupt:
            raise StoppedError("stopped", self._rest()) from None
        except NotFoundError:
            raise
        except http_client.WebError as error:
            if self._run is None and not isinstance(error, http_client.UnreachableError):
                raise  # a refusal of the order
            raise http_client.WebError(*error.problems, self._rest()) from None

    def _order(self, inputs: dict[str, str], branch: str | None) -> Generator[Update, None, int]:
        """Start the workflow, and return the number of its run."""
        about = self._actions.about()
        self._page = f"{about.html_url}/actions/workflows/{WORKFLOW}"
        request = secrets.token_hex(8)
        inputs = {**inputs, "request": request}
        try:
            number = self._actions.dispatch(WORKFLOW, branch or about.default_branch, inputs)
        except http_client.UnreachableError as error:
            # Never sent twice without knowing: that might run the rounds twice.
            yield Update((f"{error.problems[0].message}: looking whether the order arrived",))
            number = None
        return number or self._appeared(request)

    def _appeared(self, request: str) -> int:
        """Wait for the run whose title shows a request, and return its number."""
        since = datetime.now(UTC) - timedelta(hours=1)  # this machine's clock may be fast
        deadline = time.monotonic() + self._appears
        while True:
            for run in self._actions.runs(WORKFLOW, since):
                if request in run.display_title:
                    return run.id
            if time.monotonic() > deadline:
                hint = f"look at {self._page} before you order them again"
                raise GitHubError(Problem(f"no run appears for the order {request}", hint=hint))
            time.sleep(self._interval)

    def _follow(self, number: int) -> Iterator[Update]:
        run = self._run = self._actions.run(number)
        yield Update(
            (f"run {number}: {run.html_url}", f"to follow it again: {self._again(number)}")
        )
        shown: set[str] = set()
        while True:
            jobs = self._actions.jobs(number)
            update = run_status.describe(run, jobs, self._approvals(run))
            new = tuple(line for line in update.lines if line not in shown)
            shown.update(new)
            yield replace(update, lines=new)
            if run.status == "completed":
                break
            time.sleep(self._interval)
            run = self._run = self._actions.run(number)
        failures = run_status.failures(run, jobs)
        try:
            report = self._report(number)
        except FederatorError as error:
            raise type(error)(*failures, *error.problems) from None
        yield replace(update, lines=(report,))
        if failures:
            raise RunError(*failures)

    def _approvals(self, run: Run) -> list[Approval]:
        if run.status != "waiting":
            return []
        try:
            return self._actions.approvals(run.id)
        except GitHubError:  # whoever may see the run need not see who guards it
            return []

    def _report(self, number: int) -> str:
        """Download the run's report, and name its files."""
        artifact = self._actions.artifact(number, ARTIFACT)
        if artifact is None:
            return f"run {number} has no report"
        folder = self._federation.root / "results" / self._federation.name / f"dispatch-{number}"
        try:
            with tempfile.TemporaryFile() as file:
                self._actions.download(artifact, file, _LIMIT)
                names = files.unpack(file, folder, _LIMIT)
        except OSError as error:
            what = f"the report cannot be written: {error.strerror}"
            raise FederatorError(Problem(what, Where(tempfile.gettempdir()))) from None
        return f"report: {folder} ({', '.join(names)})"

    def _again(self, number: int) -> str:
        """Return the command that follows a run."""
        there = ["--repository", self._actions.repository]
        folder = os.path.relpath(self._federation.folder)
        return shlex.join(["federator", "dispatch", folder, "--follow", str(number), *there])

    def _rest(self) -> Problem:
        """Return what happens to the rounds after the user stops following."""
        if self._run is None:
            if not self._page:
                return Problem("no rounds were started")
            return Problem("the rounds may have been started", hint=f"look at {self._page}")
        ended = self._run.status == "completed"
        what = f"run {self._run.id} {'has ended' if ended else 'continues'}"
        return Problem(what, hint=f"to follow it again: {self._again(self._run.id)}")


def watch(updates: Iterable[Update], console: Console) -> None:
    """Show how a run at GitHub goes on, until it ends: lines, and on a terminal a bar of steps."""
    with progress_bar(console) as bar:
        task = bar.add_task("steps", total=0)
        for update in updates:
            for line in update.lines:
                print_line(console, line)
            bar.update(task, completed=update.done, total=update.steps)
