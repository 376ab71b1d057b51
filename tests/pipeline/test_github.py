"""The questions to GitHub, against a server that speaks its protocol, refusals included."""

import io
import time
import traceback
from datetime import UTC, datetime

import pytest
from fakes.github import (
    BARE,
    CLASSIC,
    CUT,
    GOOD,
    LOST,
    READER,
    REPOSITORY,
    WORKFLOW,
    GitHub,
    job,
    moment,
    step,
    zipped,
)
from fakes.http_service import running

from federator.common.http_client import Patience, RateLimitError, UnreachableError, WebError
from federator.pipeline.github import Actions
from federator.pipeline.github_errors import GitHubError, NotFoundError

INPUTS = {"federation": "tumours", "rounds": "3", "request": "abc"}


@pytest.fixture
def hub():
    with running(GitHub()) as hub:
        yield hub


def actions(hub, token=GOOD, repository=REPOSITORY, limit=10.0):
    return Actions(repository, hub.url, token, Patience(limit=limit, pause=0.01))


def dispatched(hub):
    return actions(hub).dispatch(WORKFLOW, "main", INPUTS)


def test_a_run_from_its_order_to_its_report(hub):
    hub.moments = [moment(jobs=[job("rounds", steps=[step("One")])])]
    asked = actions(hub)
    assert asked.about().default_branch == "main"
    number = dispatched(hub)
    assert hub.orders == [{"ref": "main", "inputs": INPUTS, "return_run_details": True}]
    assert asked.run(number).conclusion == "success"
    assert [one.id for one in asked.runs(WORKFLOW, datetime.now(UTC))] == [number]
    assert [one.steps[0].name for one in asked.jobs(number)] == ["One"]
    assert asked.approvals(number) == []
    artifact = asked.artifact(number, "report")
    assert artifact.id == 2  # the other one has expired
    assert asked.artifact(number, "model") is None
    asked.download(artifact, file := io.BytesIO(), 10_000)
    assert file.getvalue() == hub.report


def test_the_storage_does_not_get_the_token(hub):
    number = dispatched(hub)
    asked = actions(hub)
    asked.download(asked.artifact(number, "report"), io.BytesIO(), 10_000)
    (_, path, headers) = hub.asked[-1]
    assert path.startswith("/storage/")
    assert not any("authorization" in name.lower() for name in headers)
    assert GOOD not in str(hub.asked[-1])


def test_a_renamed_repository_keeps_its_token_to_github(hub):
    """Redirections of other questions are followed, and the token stays with the host."""
    here = f"{hub.url}/repos/{REPOSITORY}"
    there = here.replace("127.0.0.1", "localhost")
    hub.trouble["GET "] = [(301, {"Location": here}, "Moved Permanently")]
    assert actions(hub).about().default_branch == "main"
    hub.trouble["GET "] = [(301, {"Location": there}, "Moved Permanently")]
    with pytest.raises(GitHubError, match="does not accept the token"):
        actions(hub).about()
    assert "Authorization" not in hub.asked[-1][2]


@pytest.mark.parametrize(
    ("artifact_bytes", "limit", "broken", "words"),
    [
        (10, 5, [], "more than 5 bytes"),
        (10, 1000, [4], "the line to localhost broke"),
    ],
)
def test_a_download_that_fails(hub, artifact_bytes, limit, broken, words):
    number = dispatched(hub)
    hub.report = b"x" * artifact_bytes
    artifact = actions(hub).artifact(number, "report")
    hub.trouble["storage"] = broken
    with pytest.raises(WebError, match=words):
        actions(hub).download(artifact, io.BytesIO(), limit)


def test_a_download_that_does_not_end_where_it_said(hub):
    number = dispatched(hub)
    artifact = actions(hub).artifact(number, "report")
    hub.report = b"x" * 10_000
    with pytest.raises(GitHubError, match="more than 1000 bytes"):
        actions(hub).download(artifact, io.BytesIO(), 1000)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((302, {"Location": "http://blob.example/x?sig=secret"}, ""), "without encryption"),
        ((410, {}, "Gone"), r"refuses \(410\): Gone"),
        ((404, {}, "Not Found"), "the artifact report was deleted"),
        ((301, {}, "Moved Permanently"), r"(?s)Moved Permanently.*another name now"),
    ],
)
def test_a_download_that_does_not_begin(hub, answer, words):
    artifact = actions(hub).artifact(dispatched(hub), "report")
    hub.trouble[f"GET /actions/artifacts/{artifact.id}/zip"] = [answer]
    with pytest.raises(GitHubError, match=words) as raised:
        actions(hub).download(artifact, io.BytesIO(), 10_000)
    assert "secret" not in str(raised.value)


def test_a_report_that_does_not_fit_is_not_begun(hub):
    number = dispatched(hub)
    hub.report = zipped({"big": "x" * 100})
    asked = actions(hub)
    with pytest.raises(GitHubError, match="the artifact report has more than 10 bytes"):
        asked.download(asked.artifact(number, "report"), io.BytesIO(), 10)
    assert hub.count("GET", "/zip") == 0


@pytest.mark.parametrize("details", [False, None])
def test_where_an_order_does_not_tell_its_run(hub, details):
    hub.details = details
    assert dispatched(hub) is None
    assert [order["inputs"] for order in hub.orders] == [INPUTS]


@pytest.mark.parametrize("answer", [CUT, LOST, (503, {}, "Unavailable")])
def test_an_order_without_an_answer_is_not_sent_again(hub, answer):
    path = f"/actions/workflows/{WORKFLOW}/dispatches"
    hub.trouble[f"POST {path}"] = [answer]
    with pytest.raises(UnreachableError):
        dispatched(hub)
    assert hub.count("POST", "/dispatches") == 1


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "0"}, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}]
)
@pytest.mark.parametrize("status", [403, 429])
def test_a_short_wait_for_the_rate(hub, status, headers):
    limited = (status, headers, "You have exceeded a secondary rate limit.")
    hub.trouble[f"POST /actions/workflows/{WORKFLOW}/dispatches"] = [limited]
    hub.trouble["GET /actions/runs/30433642"] = [limited]
    number = dispatched(hub)
    assert actions(hub).run(number).id == number
    assert len(hub.orders) == 1


def test_a_long_wait_for_the_rate(hub):
    spent = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 1800)}
    hub.trouble["GET "] = [(403, spent, "API rate limit exceeded for user ID 1.")]
    with pytest.raises(RateLimitError, match=r"limits the rate.*\n.*again in \d+ s, at \d\d:\d\d$"):
        actions(hub).about()
    assert len(hub.asked) == 1


@pytest.mark.parametrize(
    ("token", "branch", "refused", "words"),
    [
        ("ghp_stale", "main", None, r"does not accept the token\n.*expired: put a new one"),
        (READER, "main", None, r"not allow this: Resource not.*\n.*permission `actions: write`"),
        (
            CLASSIC,
            "main",
            None,
            r"no workflow rounds.yml\n.*scopes gist, read:org, and needs `repo`",
        ),
        (BARE, "main", None, r"no workflow rounds.yml\n.*has no scope, and needs `repo`"),
        (GOOD, "nowhere", None, r"No ref found for: nowhere\n.*push that branch.*--ref"),
        (
            GOOD,
            "main",
            (422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow"),
            "enable it",
        ),
        (GOOD, "main", (403, "Actions has been disabled for this repository."), "enable it"),
        (GOOD, "main", (422, "Workflow does not have 'workflow_dispatch' trigger"), "up to date"),
        (GOOD, "main", (422, 'Unexpected inputs provided: ["request"]'), "bring it up to date"),
        (GOOD, "main", (422, "Required input 'site' not provided"), "bring it up to date"),
        (
            GOOD,
            "main",
            (403, "Resource protected by organization SAML enforcement."),
            "single sign-on",
        ),
        (
            GOOD,
            "main",
            (403, "Must have admin rights to Repository."),
            "permission `actions: write`",
        ),
        (
            GOOD,
            "main",
            (404, "Not Found"),
            r"main.*has no workflow|has no workflow rounds.yml\n.*push",
        ),
        (GOOD, "main", (418, "\x1b[2JI'm a teapot"), r"refuses \(418\): \[2JI'm a teapot"),
    ],
)
def test_an_order_that_is_refused(hub, token, branch, refused, words):
    hub.refuses = refused
    with pytest.raises(GitHubError, match=words):
        actions(hub, token).dispatch(WORKFLOW, branch, INPUTS)
    assert hub.count("POST", "/dispatches") == 1


def test_what_is_not_there(hub):
    with pytest.raises(NotFoundError, match=r"shows no repository acme/other\n.*correct the name"):
        actions(hub, repository="acme/other").about()
    with pytest.raises(NotFoundError, match=r"has no run 7\n.*was it deleted"):
        actions(hub).run(7)


def test_what_is_not_github(hub):
    hub.trouble["any"] = [(200, {}, "a page to log in")]
    with pytest.raises(
        GitHubError, match=r"127.0.0.1:\d+ does not answer as GitHub does\n.*API_URL"
    ):
        actions(hub).about()


def test_no_token_in_errors_and_logs(hub, caplog):
    caplog.set_level("DEBUG")
    written = ""
    for answer in (CUT, (401, {}, "Bad"), (403, {}, "No"), (404, {}, "?"), (500, {}, "!")):
        hub.trouble["any"] = [answer] * 100
        with pytest.raises(WebError) as raised:
            actions(hub, limit=0.05).run(7)
        written += "".join(traceback.format_exception(raised.value))
    assert "not allow" in written
    assert GOOD not in written + caplog.text
