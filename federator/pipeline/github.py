"""The workflow runs of a repository at GitHub, through its REST API."""

import functools
from collections.abc import Callable
from datetime import datetime
from typing import IO, TypeVar
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, RootModel, ValidationError

from federator.common import http_client
from federator.errors import Problem
from federator.pipeline.github_errors import GitHubError, not_understood, refusal
from federator.pipeline.github_models import Approval, Artifact, Job, Repository, Run

_VERSION = "2022-11-28"  # of the API; GitHub Enterprise Server has it too
_DETAILS = "return_run_details"  # unknown to GitHub Enterprise Server before 3.21

Answer = TypeVar("Answer", bound=BaseModel)


class _Runs(BaseModel):
    workflow_runs: list[Run]


class _Jobs(BaseModel):
    jobs: list[Job]


class _Artifacts(BaseModel):
    artifacts: list[Artifact]


class _Dispatched(BaseModel):
    workflow_run_id: int


def client(
    token: str, patience: http_client.Patience = http_client.PATIENCE
) -> Callable[..., requests.Response]:
    """Return :func:`http_client.ask` with what every request to GitHub's API has in common."""
    return functools.partial(
        http_client.ask,
        authorization=f"Bearer {token}",
        accept="application/vnd.github+json",
        headers={"X-GitHub-Api-Version": _VERSION},
        patience=patience,
    )


class Actions:
    """The client of a repository's workflow runs. No error or log line names the token.

    Args:
        repository: ``owner/name``.
        api: The address of the API.
        token: What GitHub knows the user by.
        patience: How long a question is repeated where GitHub is busy or cannot be reached.
    """

    def __init__(
        self,
        repository: str,
        api: str,
        token: str,
        patience: http_client.Patience = http_client.PATIENCE,
    ) -> None:
        self.repository = repository
        self._url = f"{api}/repos/{repository}"
        self._patience = patience
        self._web = client(token, patience)

    def about(self) -> Repository:
        """The repository itself.

        Raises:
            WebError: GitHub refused, or could not be asked (so do the other methods).
        """
        hint = "correct the name, or use a token that may see it"
        return self._get("", Repository, f"GitHub shows no repository {self.repository}", hint)

    def dispatch(self, workflow: str, ref: str, inputs: dict[str, str]) -> int | None:
        """Starts a workflow as it is on a branch: the run's number, if GitHub returns it.

        Raises:
            UnreachableError: There is no answer. The run may have started all the same.
        """
        url = f"{self._url}/actions/workflows/{workflow}/dispatches"
        body = {"ref": ref, "inputs": inputs}
        answer = self._web("POST", url, json=body | {_DETAILS: True}, repeatable=False)
        if answer.status_code in (400, 422) and _DETAILS in answer.text:
            answer = self._web("POST", url, json=body, repeatable=False)
        if answer.status_code == 204:
            return None
        if answer.status_code == 200:
            return parsed(answer, _Dispatched).workflow_run_id
        what = f"the default branch of {self.repository} has no workflow {workflow}"
        hint = f"push .github/workflows/{workflow} there first"
        raise refusal(answer, Problem(what, hint=hint))

    def runs(self, workflow: str, since: datetime) -> list[Run]:
        """The last runs of a workflow that were dispatched since some time in UTC."""
        params = {
            "event": "workflow_dispatch",
            "created": f">={since:%Y-%m-%dT%H:%M:%SZ}",
            "per_page": "100",
        }
        path, what = f"/actions/workflows/{workflow}/runs", f"there is no workflow {workflow}"
        return self._get(path, _Runs, what, params=params).workflow_runs

    def run(self, number: int) -> Run:
        """One run.

        Raises:
            NotFoundError: There is no such run, or no longer.
        """
        what = f"{self.repository} has no run {number}"
        hint = "was it deleted? the server's own results are not touched by that"
        return self._get(f"/actions/runs/{number}", Run, what, hint)

    def jobs(self, number: int) -> list[Job]:
        """The jobs of a run, in its last attempt."""
        path, params = f"/actions/runs/{number}/jobs", {"per_page": "100"}
        return self._get(path, _Jobs, f"run {number} was deleted", params=params).jobs

    def approvals(self, number: int) -> list[Approval]:
        """What a run waits for."""
        path = f"/actions/runs/{number}/pending_deployments"
        return self._get(path, RootModel[list[Approval]], f"run {number} was deleted").root

    def artifact(self, number: int, name: str) -> Artifact | None:
        """The artifact of a run that has a name: the last one, if there are more."""
        path, params = f"/actions/runs/{number}/artifacts", {"name": name, "per_page": "100"}
        found = self._get(path, _Artifacts, f"run {number} was deleted", params=params).artifacts
        named = [one for one in found if one.name == name and not one.expired]
        return max(named, key=lambda one: one.id, default=None)

    def download(self, artifact: Artifact, file: IO[bytes], limit: int) -> None:
        """Writes an artifact's zip into a file.

        Raises:
            GitHubError: It has more bytes than the limit.
        """
        too_big = GitHubError(f"the artifact {artifact.name} has more than {limit} bytes")
        if artifact.size_in_bytes > limit:
            raise too_big
        url = f"{self._url}/actions/artifacts/{artifact.id}/zip"
        answer = self._web("GET", url, redirects=False)
        place = answer.headers.get("Location", "")
        if answer.status_code != 302:
            raise refusal(answer, Problem(f"the artifact {artifact.name} was deleted"))
        parts = urlsplit(place)
        if not http_client.is_encrypted(place):
            raise GitHubError(f"GitHub leads to {parts.hostname} without encryption: refused")
        # Another host, which needs no token: the address itself is the permission.
        with http_client.ask(
            "GET", place, accept="*/*", stream=True, patience=self._patience
        ) as content:
            if content.status_code != 200:
                raise GitHubError(f"{parts.hostname} answers {content.status_code}")
            try:
                for piece in content.iter_content(2**16):
                    if file.tell() + len(piece) > limit:
                        raise too_big
                    file.write(piece)
            except requests.RequestException:
                raise http_client.UnreachableError(f"the line to {parts.hostname} broke") from None

    def _get(
        self,
        path: str,
        model: type[Answer],
        missing: str,
        hint: str | None = None,
        params: dict[str, str] | None = None,
    ) -> Answer:
        answer = self._web("GET", self._url + path, params=params)
        if answer.status_code != 200:
            raise refusal(answer, Problem(missing, hint=hint))
        return parsed(answer, model)


def parsed(answer: requests.Response, model: type[Answer]) -> Answer:
    """Return what an answer says.

    Raises:
        GitHubError: if it has another form than GitHub's.
    """
    try:
        return model.model_validate_json(answer.content)
    except ValidationError:
        raise not_understood(answer) from None
