"""Pull requests for what may not be pushed to a branch, through GitHub's REST API.

https://docs.github.com/rest/pulls/pulls
"""

import os
from dataclasses import dataclass
from urllib.parse import quote

from pydantic import BaseModel, RootModel

from federator import access, web
from federator.errors import Problem
from federator.refusals import GitHubError, refusal
from federator.workflow import Words

_MEDIA = "application/vnd.github+json"


class _Pull(BaseModel):
    html_url: Words


_Pulls = RootModel[list[_Pull]]


@dataclass(frozen=True)
class Proposals:
    """Opens pull requests into a branch of the repository that this job is of.

    Attributes:
        base: the branch.
    """

    base: str

    def __call__(self, branch: str, title: str) -> str:
        """Open one from another branch, if there is none yet; return its address.

        Raises:
            InputError: if the environment holds no token.
            WebError: if GitHub refused, or could not be asked.
        """
        repository = os.environ["GITHUB_REPOSITORY"]
        pulls = f"{access.address()}/repos/{repository}/pulls"
        login = f"Bearer {access.token()}"
        owner = repository.partition("/")[0]
        asked = {"head": f"{owner}:{branch}", "base": self.base, "state": "open"}
        answer = web.ask("GET", pulls, authorization=login, accept=_MEDIA, params=asked)
        if answer.status_code == 200 and (there := _Pulls.model_validate_json(answer.content).root):
            return there[0].html_url
        body = {"title": title, "head": branch, "base": self.base}
        answer = web.ask(
            "POST", pulls, authorization=login, accept=_MEDIA, json=body, repeatable=False
        )
        if answer.status_code == 201:
            return _Pull.model_validate_json(answer.content).html_url
        page = f"{os.environ.get('GITHUB_SERVER_URL')}/{repository}/compare/{quote(self.base)}...{quote(branch)}"
        raise refusal(answer, Problem(page))
