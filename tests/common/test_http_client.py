"""Services that cannot be reached, and how that is said."""

import re
import socket
import ssl
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from federator.common import http_client

ONCE = http_client.Patience(limit=0.0)


@pytest.fixture
def silent_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def server():
    """Answers with what ``answers`` holds, in turn, and keeps the headers of what it was asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.headers)
            status, headers, *content = (self.server.answers or [(200, {})]).pop(0)
            self.send_response(status)
            length = str(len(b"".join(content)))
            for name, value in {"Content-Length": length, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.writelines(content)

        do_POST = do_GET

        def do_CONNECT(self):
            self.server.asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = [], []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()


def test_nobody_listens(silent_port):
    with pytest.raises(
        http_client.UnreachableError, match=r"cannot be reached \(Connection refused\)"
    ):
        http_client.ask("GET", f"http://127.0.0.1:{silent_port}/", patience=ONCE)


def test_a_name_that_does_not_exist():
    with pytest.raises(
        http_client.UnreachableError, match=r"the name registry\.invalid cannot be resolved"
    ):
        http_client.ask("GET", "https://registry.invalid/v2/", patience=ONCE)


def test_a_silent_server(monkeypatch):
    monkeypatch.setattr(http_client, "_TIMEOUT", (1, 0.1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        with pytest.raises(http_client.UnreachableError, match="does not answer in time"):
            http_client.ask("GET", url, patience=ONCE)


def test_a_proxy_that_leads_nowhere(server, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("//", "//ada:horse@"))
    with pytest.raises(
        http_client.UnreachableError, match=r"proxy does not lead to ghcr\.io"
    ) as raised:
        http_client.ask("GET", "https://ghcr.io/v2/", patience=ONCE)
    assert server.asked == ["ghcr.io:443"]
    assert "horse" not in str(raised.value)


def test_this_machine_is_asked_without_a_proxy(server, monkeypatch, silent_port):
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{silent_port}")
    assert http_client.ask("GET", server.url).status_code == 200


def test_a_certificate_of_nobody(tmp_path, server):
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    with pytest.raises(
        http_client.UnreachableError, match=r"is not accepted \(self-signed"
    ) as raised:
        http_client.ask("GET", url)
    assert "REQUESTS_CA_BUNDLE" in str(raised.value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert http_client.ask("GET", url).status_code == 200


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7),
        ("a date", 3600),
        ("soon", 0),
        ("9" * 400, 0),
        ("", 0),
    ],
)
def test_retry_after(server, after, seconds):
    if after == "a date":
        after = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    server.answers = [(429, {"Retry-After": after})]
    with pytest.raises(http_client.RateLimitError) as raised:
        http_client.ask("GET", server.url, patience=ONCE)
    hint = raised.value.problems[0].hint
    if not seconds:
        assert f"try again {'another day' if '999' in after else 'later'}" in hint
    else:
        stated = int(hint.split("again in ")[1].split()[0])
        assert seconds - 60 <= stated <= seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": 3600}, 3600),
        (429, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": 3600}, 3600),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": 3600, "Retry-After": "7"}, 7),
        (403, {"X-RateLimit-Remaining": "12", "X-RateLimit-Reset": 3600}, 60),
        (403, {"Retry-After": "7"}, 7),
    ],
)
def test_limits_as_github_states_them(server, status, headers, seconds):
    if "X-RateLimit-Reset" in headers:
        headers = headers | {"X-RateLimit-Reset": str(int(time.time()) + 3600)}
    server.answers = [(status, headers, b"You have exceeded a secondary rate limit.")]
    with pytest.raises(http_client.RateLimitError, match="limits the rate") as raised:
        http_client.ask("GET", server.url, authorization="Bearer key", patience=ONCE)
    hint = raised.value.problems[0].hint
    stated = int(hint.split("again in ")[1].split()[0])
    assert seconds - 60 <= stated <= seconds
    assert re.search(r"at \d\d:\d\d$", hint)


def test_a_refusal_is_no_limit(server):
    server.answers = [(403, {}, b"Resource not accessible")]
    assert http_client.ask("GET", server.url).status_code == 403


def test_a_request_that_is_not_repeatable(server):
    patience = http_client.Patience(limit=5.0, pause=0.01)
    server.answers = [(429, {"Retry-After": "0"}), (502, {})]
    with pytest.raises(http_client.UnreachableError, match="is down"):
        http_client.ask("POST", server.url, json={}, repeatable=False, patience=patience)
    assert len(server.asked) == 2  # what was refused for its rate did nothing


def test_headers(server, monkeypatch, tmp_path):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password horse\n")
    monkeypatch.setenv("NETRC", str(netrc))
    http_client.ask("GET", server.url)
    http_client.ask("GET", server.url, authorization="Bearer key", accept="text/plain")
    assert [(asked["Authorization"], asked["Accept"]) for asked in server.asked] == [
        (None, "application/json"),
        ("Bearer key", "text/plain"),
    ]


def test_too_many_redirections(server):
    server.answers = [(302, {"Location": "/"})] * 50
    with pytest.raises(http_client.WebError, match=r"cannot be asked \(TooManyRedirects"):
        http_client.ask("GET", server.url)
