"""A server that answers as a test wants, in the place of a federation's."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from federator.deploy.certificates import issue


@contextmanager
def answering(
    *statuses: int,
    ahead: float = 0.0,
    health: int = 200,
    folder: Path | None = None,
    asked: list[str] | None = None,
) -> Iterator[str]:
    """Yield the address of a server that answers POST so, the last status again and again.

    Its clock is ``ahead`` seconds ahead. With a folder it speaks TLS, and its certificate is
    ``server.crt`` there. The names of the calls that it answers go to ``asked``.
    """
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._answer(health)

        def do_POST(self):
            if asked is not None:
                asked.append(self.path.rpartition("/")[2])
            self.rfile.read(int(self.headers["content-length"]))
            self._answer(left.pop(0) if len(left) > 1 else left[0])

        def _answer(self, status):
            self.send_response_only(status)
            date = datetime.now(UTC) + timedelta(seconds=ahead)
            self.send_header("date", format_datetime(date, usegmt=True))
            self.send_header("content-length", "0")
            self.send_header("location", "http://192.0.2.1/")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        if folder is not None:
            pair = issue(("127.0.0.1",), 30)
            (folder / "server.crt").write_bytes(pair.certificate)
            (folder / "server.key").write_bytes(pair.key)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(folder / "server.crt", folder / "server.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def proxying(status_line: str) -> Iterator[str]:
    """Yield the address of a proxy that answers each request to connect by this line."""

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            self.wfile.write(f"{status_line}\r\n\r\n".encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
