"""Pull requests for what may not be pushed to a branch, through GitHub's REST API.

https://docs.github.com/rest/pulls/pulls
"""

import functools
import os
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel, RootModel

from federator.common import http_client
from federator.errors import Problem
from federator.pipeline import github_env
from federator.pipeline.github import parsed
from federator.pipeline.github_errors import GitHubError, refusal
from federator.pipeline.github_models import Words


class _Pull(BaseModel):
    html_url: Words


@dataclass(frozen=True)
class PullRequests:
    """Opens pull requests into a branch of the repository that this job is of.

    Attributes:
        base: the branch.
        patience: how long a question is repeated where GitHub is busy or cannot be reached.
    """

    base: str
    patience: http_client.Patience = http_client.PATIENCE

    def __call__(self, branch: str, title: str) -> str:
        """Return the address of a branch's pull request, which is opened if there is none.

        Raises:
            InputError: if the environment holds no token.
            WebError: if GitHub refused, or could not be asked.
        """
        repository = github_env.checked(os.environ.get("GITHUB_REPOSITORY", ""))
        ask = functools.partial(
            http_client.ask,
            url=f"{github_env.address()}/repos/{repository}/pulls",
            authorization=f"Bearer {github_env.token()}",
            accept="application/vnd.github+json",
            patience=self.patience,
        )
        owner = repository.partition("/")[0]
        wanted = {"state": "open", "base": self.base, "head": f"{owner}:{branch}"}
        there = ask("GET", params=wanted)
        if there.status_code == 200 and (found := parsed(there, RootModel[list[_Pull]]).root):
            return found[0].html_url
        made = ask("POST", json={"title": title, "base": self.base, "head": branch},
                   repeatable=False)  # fmt: skip
        if made.status_code == 201:
            return parsed(made, _Pull).html_url
        refused = refusal(made, Problem(f"GitHub shows no repository {repository}"))
        page = f"{os.environ.get('GITHUB_SERVER_URL')}/{repository}/compare/"
        page += f"{quote(self.base)}...{quote(branch)}"
        todo = f"the branch {branch} is pushed: open its pull request by hand, at {page}"
        raise GitHubError(*refused.problems, todo)
