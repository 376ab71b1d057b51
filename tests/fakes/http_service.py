"""What the made-up services of the network have in common: JSON, on this machine."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar


class Service(ThreadingHTTPServer):
    """Answers on a port of its own; subclasses say how, and what they know."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)


Kind = TypeVar("Kind", bound=Service)


class Answers(BaseHTTPRequestHandler):
    """Gives an answer in JSON."""

    def answer(self, status, body=None, headers=None):
        content = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextmanager
def running(service: Kind) -> Iterator[Kind]:
    """A service that answers until the block ends."""
    with service:
        threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
        yield service
        service.shutdown()
