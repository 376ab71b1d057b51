"""A small GitHub on this machine: one repository with one workflow, spoken to as documented.

https://docs.github.com/rest/actions for the answers, and for refusals
https://docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api. It believes nothing:
what a client must send is checked, and what a token may not do is refused.
"""

import io
import json
import re
import zipfile
from collections import defaultdict
from urllib.parse import parse_qs, urlsplit

from fakes.http_service import Answers, Service

REPOSITORY, WORKFLOW = "acme/hospitals", "rounds.yml"
GOOD, READER, CLASSIC, BARE = "github_pat_good", "github_pat_reader", "ghp_gist", "ghp_bare"
SCOPES = {CLASSIC: "gist, read:org", BARE: ""}
CUT, LOST = "no answer", "done, but no answer"
INPUTS = ("federation", "rounds", "epochs", "mode", "request")


def step(name, status="completed", conclusion="success"):
    return {
        "name": name,
        "status": status,
        "conclusion": conclusion if status == "completed" else None,
    }


def job(name, status="completed", conclusion="success", steps=()):
    return {
        "name": name,
        "status": status,
        "conclusion": conclusion if status == "completed" else None,
        "html_url": f"https://github.example/jobs/{name}",
        "labels": ["self-hosted", "federator"],
        "steps": list(steps),
    }


def moment(status="completed", conclusion="success", jobs=()):
    """How a run stands; the next moment comes when its jobs were asked for."""
    return {"status": status, "conclusion": conclusion if status == "completed" else None}, [*jobs]


def zipped(files):
    """A zip of files by their names, whatever those are."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


class GitHub(Service):
    """Does as it is told.

    Attributes:
        branches: Those with the workflow.
        refuses: What is said to a dispatch, where it is not accepted.
        details: Whether a dispatch tells the run: no, if asked, or None where the key is unknown.
        shows_runs: Whether runs appear in their list.
        moments: What every run goes through.
        waits_for: The pending deployments.
        report: The artifact of each run, if it leaves one.
        trouble: What to do first, by method and path, or "any": CUT, LOST, or a refusal's status,
            headers and message; by "storage": the bytes after which the line breaks.
        orders: The bodies of the dispatches that were accepted.
        asked: Method and path of every request, and its headers.
    """

    def __init__(self):
        super().__init__(_Handler)
        self.branches, self.refuses, self.details = ["main", "next"], None, True
        self.shows_runs, self.waits_for = True, []
        self.moments = [moment(jobs=[job("rounds", steps=[step("Start the rounds")])])]
        self.report = zipped({"report.html": "<p>0.97</p>", "rounds.jsonl": "{}\n"})
        self.trouble = defaultdict(list)
        self.orders, self.asked, self.titles = [], [], {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def storage(self):
        """The same machine by another name, as a host that the token is not for."""
        return f"http://localhost:{self.server_port}/storage/report.zip?sig=secret"

    def count(self, method, end):
        return sum(m == method and urlsplit(path).path.endswith(end) for m, path, _ in self.asked)

    def run(self, number):
        """A run as it stands now."""
        state = self.moments[0][0]
        page = f"https://github.example/{REPOSITORY}/actions/runs/{number}"
        return {"id": number, "html_url": page, "display_title": self.titles[number], **state}


class _Handler(Answers):
    def do_GET(self):
        self.asked_for(b"")

    def do_POST(self):
        self.asked_for(self.rfile.read(int(self.headers["Content-Length"])))

    def asked_for(self, body):
        hub, address = self.server, urlsplit(self.path)
        hub.asked.append((self.command, self.path, dict(self.headers)))
        if address.path.startswith("/storage/"):
            return self.give_report()
        root = f"/repos/{REPOSITORY}"
        path = address.path.removeprefix(root)
        trouble = hub.trouble[f"{self.command} {path}"] or hub.trouble["any"]
        wrong = trouble.pop(0) if trouble else None
        if wrong == CUT:
            return self.cut()
        if wrong and wrong != LOST:
            status, headers, message = wrong
            return self.refuse(status, message, headers)
        assert self.headers["User-Agent"] and self.headers["X-GitHub-Api-Version"] == "2022-11-28"
        assert self.headers["Accept"] == "application/vnd.github+json"
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in (GOOD, READER, CLASSIC, BARE):
            return self.refuse(401, "Bad credentials")
        if not address.path.startswith(root):
            return self.refuse(404, "Not Found")
        if self.command == "POST":
            return self.dispatch(path, json.loads(body), token, lost=wrong == LOST)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        return self.look_up(path, query)

    def dispatch(self, path, body, token, lost):
        hub = self.server
        if token == READER:
            needed = {"X-Accepted-GitHub-Permissions": "actions=write"}
            return self.refuse(403, "Resource not accessible by personal access token", needed)
        if token in SCOPES or path != f"/actions/workflows/{WORKFLOW}/dispatches":
            return self.refuse(404, "Not Found")
        if hub.details is None and "return_run_details" in body:
            return self.refuse(
                422, 'Invalid request.\n\n"return_run_details" is not a permitted key.'
            )
        if body["ref"] not in hub.branches:
            return self.refuse(422, f"No ref found for: {body['ref']}")
        if unknown := sorted(body["inputs"].keys() - set(INPUTS)):
            return self.refuse(422, f"Unexpected inputs provided: {json.dumps(unknown)}")
        if hub.refuses:
            return self.refuse(*hub.refuses)
        assert all(isinstance(value, str) for value in body["inputs"].values())
        number = 30433642 + len(hub.orders)
        hub.orders.append(body)
        hub.titles[number] = f"{body['inputs']['federation']} ({body['inputs']['request']})"
        if lost:
            return self.cut()
        if not (hub.details and body.get("return_run_details")):
            return self.answer(204)
        run = {"run_url": f"{hub.url}/runs/{number}", "html_url": hub.run(number)["html_url"]}
        return self.answer(200, {"workflow_run_id": number, **run})

    def look_up(self, path, query):
        hub = self.server
        if path == "":
            page = f"https://github.example/{REPOSITORY}"
            return self.answer(
                200, {"full_name": REPOSITORY, "html_url": page, "default_branch": "main"}
            )
        if path == f"/actions/workflows/{WORKFLOW}/runs":
            assert query["event"] == "workflow_dispatch"
            assert re.fullmatch(r">=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", query["created"])
            runs = [hub.run(number) for number in hub.titles] if hub.shows_runs else []
            return self.answer(200, {"total_count": len(runs), "workflow_runs": runs})
        if path.startswith("/actions/artifacts/"):
            return self.answer(302, headers={"Location": hub.storage})
        found = re.fullmatch(r"/actions/runs/(\d+)(|/jobs|/artifacts|/pending_deployments)", path)
        number = int(found[1]) if found else 0
        if number not in hub.titles:
            return self.refuse(404, "Not Found")
        match found[2]:
            case "/jobs":
                jobs = hub.moments[0][1]
                answer = {"total_count": len(jobs), "jobs": jobs}
                # The next question for the run finds it further on.
                hub.moments = hub.moments[1:] or hub.moments
            case "/artifacts":
                old = {"id": 1, "name": "report", "size_in_bytes": 3, "expired": True}
                here = {"id": 2, "name": "report", "size_in_bytes": len(hub.report or b"")}
                artifacts = [old, *([{**here, "expired": False}] if hub.report else [])]
                answer = {"total_count": len(artifacts), "artifacts": artifacts}
            case "/pending_deployments":
                answer = hub.waits_for
            case _:
                answer = hub.run(number)
        return self.answer(200, answer)

    def give_report(self):
        content = self.server.report
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        broken = self.server.trouble["storage"]
        self.wfile.write(content[: broken.pop(0)] if broken else content)
        self.close_connection = True

    def cut(self):
        self.close_connection = True

    def refuse(self, status, message, headers=None):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        scopes = {"X-OAuth-Scopes": SCOPES[token]} if token in SCOPES else {}
        said = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        return self.answer(status, said | {"status": str(status)}, scopes | (headers or {}))
