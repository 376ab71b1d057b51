"""Pull requests, asked of a server that answers as GitHub documents."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from fakes.http_service import Answers, Service, running

from federator.common.http_client import Patience, UnreachableError
from federator.errors import InputError
from federator.pipeline.github_errors import GitHubError
from federator.pipeline.pull_request import PullRequests

TOKEN = "ghs_made_up"


class GitHub(Service):
    """Knows the pull requests of one repository; ``refusal`` is what it answers instead."""

    def __init__(self):
        super().__init__(_Handler)
        self.pulls, self.refusal = [], None


class _Handler(Answers):
    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        assert path == "/repos/acme/hospitals/pulls"
        self.check()
        found = [one for one in self.server.pulls
                 if query == {"state": ["open"], "base": [one["base"]],
                              "head": [f"acme:{one['head']}"]}]  # fmt: skip
        self.answer(200, found)

    def check(self):
        assert self.headers["Authorization"] == f"Bearer {TOKEN}"
        assert self.headers["X-GitHub-Api-Version"] == "2022-11-28"

    def do_POST(self):
        self.check()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.refusal:
            return self.answer(*self.server.refusal)
        number = len(self.server.pulls) + 1
        self.server.pulls.append(body | {"html_url": f"https://github.example/pull/{number}"})
        return self.answer(201, self.server.pulls[-1])


@pytest.fixture
def hub(monkeypatch):
    with running(GitHub()) as made:
        monkeypatch.setenv("GITHUB_API_URL", f"http://127.0.0.1:{made.server_port}")
        monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.example")
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/hospitals")
        monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
        yield made


propose = PullRequests("main", Patience(limit=1.0, pause=0.01))


def test_one_is_opened_and_then_found_again(hub):
    url = propose("federator/tumours", "Compose files of tumours")
    assert url == "https://github.example/pull/1"
    assert hub.pulls[0]["title"] == "Compose files of tumours"
    assert propose("federator/tumours", "Compose files of tumours") == url
    assert propose("federator/lungs", "Compose files of lungs") != url
    assert len(hub.pulls) == 2


def test_a_repository_that_does_not_let_workflows_open_them(hub):
    words = "GitHub Actions is not permitted to create or approve pull requests."
    hub.refusal = 403, {"message": words}
    with pytest.raises(GitHubError) as raised:
        propose("federator/tumours", "x")
    assert words in str(raised.value)
    assert "Settings, Actions, General" in str(raised.value)
    page = "https://github.example/acme/hospitals/compare/main...federator/tumours"
    assert page in str(raised.value)


def test_a_server_that_is_down_is_not_asked_twice_to_open_one(hub):
    hub.refusal = 502, {}
    with pytest.raises(UnreachableError, match="is down"):
        propose("federator/tumours", "x")


@pytest.mark.usefixtures("hub")
def test_outside_a_job_it_is_told_what_is_missing(monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(InputError, match="no token"):
        propose("federator/tumours", "x")
    monkeypatch.delenv("GITHUB_REPOSITORY")
    with pytest.raises(InputError, match="is no repository"):
        propose("federator/tumours", "x")
