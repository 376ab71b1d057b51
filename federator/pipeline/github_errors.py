"""The refusals of GitHub's REST API, each with what to do about it."""

import re
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError

from federator.common import http_client
from federator.errors import Problem
from federator.pipeline.github_models import Words, printable

_SCOPE, _PERMISSION = "repo", "actions: write"
_OLD = "that branch has the workflow of another version: bring it up to date"

# What to do about a refusal that says one of these.
_HINTS = {
    "no ref found": "push that branch, or name another one: --ref",
    "disabled": "enable it again, on its page under Actions or in the repository's settings",
    "does not have 'workflow_dispatch' trigger": _OLD,
    "unexpected inputs": _OLD,
    "required input": _OLD,
    "provided value": _OLD,
    "moved permanently": "the repository has another name now: --repository owner/name",
    "not permitted to create": "allow it: Settings, Actions, General, Workflow permissions",
    "saml": "authorise the token for the organisation's single sign-on, in GitHub's settings",
}


class GitHubError(http_client.WebError):
    """GitHub refused, or gave no answer that can be understood."""


class NotFoundError(GitHubError):
    """GitHub has not what it was asked for, or does not show it to this token."""


class _Refusal(BaseModel):
    message: Words = ""


def refusal(answer: requests.Response, missing: Problem) -> GitHubError:
    """Return the error for an answer that is none of those expected.

    Args:
        answer: the answer of GitHub.
        missing: what a status of 404 means.
    """
    try:
        message = _Refusal.model_validate_json(answer.content).message
    except ValidationError:
        message = ""
    hint = next((todo for part, todo in _HINTS.items() if part in message.lower()), None)
    match answer.status_code:
        case 401:
            hint = "it may have expired: put a new one into GITHUB_TOKEN"
            return GitHubError(Problem("GitHub does not accept the token", hint=hint))
        case 403:
            hint = hint or _lacking_scope(answer) or _lacking_permission(answer)
            return GitHubError(Problem(f"GitHub does not allow this: {message}", hint=hint))
        case 404:
            hint = _lacking_scope(answer) or missing.hint
            return NotFoundError(Problem(missing.message, hint=hint))
        case status:
            return GitHubError(Problem(f"GitHub refuses ({status}): {message}", hint=hint))


def not_understood(answer: requests.Response) -> GitHubError:
    """Return the error for an answer of another form than GitHub's."""
    host = urlsplit(answer.url).netloc.rpartition("@")[2]
    hint = "is GITHUB_API_URL right, and is no proxy in the way?"
    return GitHubError(Problem(f"{host} does not answer as GitHub does", hint=hint))


def _lacking_permission(answer: requests.Response) -> str:
    """What a token needs that is none of the classic ones."""
    wanted = answer.headers.get("X-Accepted-GitHub-Permissions", "").replace("=", ": ")
    return f"the token needs the permission `{printable(wanted) or _PERMISSION}`"


def _lacking_scope(answer: requests.Response) -> str | None:
    """What a classic token lacks, whose scopes GitHub names; nothing of any other token."""
    scopes = answer.headers.get("X-OAuth-Scopes")
    if scopes is None or _SCOPE in re.split(r",\s*", scopes):
        return None
    has = f"has the scopes {printable(scopes)}" if scopes else "has no scope"
    return f"the token {has}, and needs `{_SCOPE}`"
