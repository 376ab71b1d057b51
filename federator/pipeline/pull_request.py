"""Pull requests for what may not be pushed to a branch, through GitHub's REST API.

https://docs.github.com/rest/pulls/pulls
"""

import os
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel, RootModel

from federator.common import http_client
from federator.errors import Problem
from federator.pipeline import github, github_env
from federator.pipeline.github_errors import GitHubError, refusal
from federator.pipeline.github_models import Words


class _Pull(BaseModel):
    html_url: Words


_Pulls = RootModel[list[_Pull]]


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
        ask = github.client(github_env.token(), self.patience)
        pulls = f"{github_env.address()}/repos/{repository}/pulls"
        owner = repository.partition("/")[0]
        wanted = {"state": "open", "base": self.base, "head": f"{owner}:{branch}"}
        there = ask("GET", pulls, params=wanted)
        if there.status_code == 200 and (found := github.parsed(there, _Pulls).root):
            return found[0].html_url
        made = ask(
            "POST",
            pulls,
            json={"title": title, "base": self.base, "head": branch},
            repeatable=False,
        )
        if made.status_code == 201:
            return github.parsed(made, _Pull).html_url
        refused = refusal(made, Problem(f"GitHub shows no repository {repository}"))
        page = f"{os.environ.get('GITHUB_SERVER_URL')}/{repository}/compare/"
        page += f"{quote(self.base)}...{quote(branch)}"
        todo = f"the branch {branch} is pushed: open its pull request by hand, at {page}"
        raise GitHubError(*refused.problems, todo)
