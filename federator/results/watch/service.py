"""The HTTP server of the live page: the page, its changes as server-sent events, and the metrics.

Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import json
import socketserver
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from federator.results.watch import openmetrics, page
from federator.results.watch.access import Access
from federator.results.watch.following import Following

BEAT = 5.0  # seconds from one word to the next, so that a page notices when none comes (watch.js)
_SLOWEST = 10  # seconds that a reader may take for a request, or to take what is sent
_STREAMS = 32  # pages at a time: each has a thread
_RETRY = 1000  # milliseconds after which a browser connects again


@dataclass(frozen=True)
class _Shown:
    """What is shown by now."""

    parts: Mapping[str, str]
    metrics: str

    @classmethod
    def of(cls, following: Following) -> Self:
        return cls(page.parts(following), openmetrics.text(following))


class Board:
    """What all readers are shown: where a run stands; they wait here for the next change."""

    def __init__(self, following: Following) -> None:
        self._change = threading.Condition()
        self._shown = _Shown.of(following)
        self.closed = False

    def put(self, following: Following) -> None:
        """Show where the run stands now."""
        shown = _Shown.of(following)
        with self._change:
            self._shown = shown
            self._change.notify_all()

    @property
    def shown(self) -> _Shown:
        """What is shown by now."""
        return self._shown

    def after(self, known: _Shown | None) -> _Shown:
        """Return what is shown, as soon as it is another than ``known``, or after a beat."""
        with self._change:
            self._change.wait_for(lambda: self._shown is not known or self.closed, BEAT)
            return self._shown

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._change:
            self.closed = True
            self._change.notify_all()


class Server(ThreadingHTTPServer):
    """Serves a board.

    Args:
        address: IPv4 address and port; port 0 for one that is free.
        board: what is shown.
        access: who may read it.

    Raises:
        OSError: if the address cannot be had.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], board: Board, access: Access) -> None:
        self.board = board
        self.streams = threading.BoundedSemaphore(_STREAMS)
        super().__init__(address, partial(_Handler, board, access, self.streams))

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, as HTTPServer does."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  # as there
        """Say nothing of readers who went away: that is no fault."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Serve no longer."""
        self.board.close()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    timeout = _SLOWEST
    protocol_version = "HTTP/1.1"

    def __init__(
        self,
        board: Board,
        access: Access,
        streams: threading.BoundedSemaphore,
        *rest: Any,  # noqa: ANN401  # the server's
    ) -> None:
        self._board, self._access, self._streams = board, access, streams
        super().__init__(*rest)

    def do_GET(self) -> None:  # by this name it is found
        """Answer with the page, its events or the metrics."""
        headers = self.headers
        if why := self._access.refusal(self.path, headers["Host"], headers["Authorization"]):
            self._answer(f"{why}\n", status=HTTPStatus.FORBIDDEN)
            return
        match urlsplit(self.path).path:
            case "/":
                whole = page.whole(self._board.shown.parts)
                self._answer(whole, "text/html; charset=utf-8")
            case "/metrics":
                self._answer(self._board.shown.metrics, openmetrics.TYPE)
            case "/events":
                self._stream()
            case _:
                self._answer("there is nothing here\n", status=HTTPStatus.NOT_FOUND)

    def _answer(
        self,
        text: str,
        kind: str = "text/plain; charset=utf-8",
        status: HTTPStatus = HTTPStatus.OK,
    ) -> None:
        content = text.encode()
        self._begin(status, kind, {"Content-Length": str(len(content))})
        self.wfile.write(content)

    def _begin(self, status: HTTPStatus, kind: str, more: Mapping[str, str]) -> None:
        self.send_response(status)
        fixed = {
            "Content-Type": kind,
            "Content-Security-Policy": page.policy(),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",  # a link's address would tell the token
            "X-Content-Type-Options": "nosniff",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cross-Origin-Opener-Policy": "same-origin",
        }
        for name, value in {**fixed, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _stream(self) -> None:
        """Send every part, then each that changes, and a beat in between, until somebody leaves."""
        self.close_connection = True
        if not self._streams.acquire(blocking=False):
            self._answer("too many pages are open\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            self._begin(HTTPStatus.OK, "text/event-stream", {"Connection": "close"})
            self.wfile.write(f"retry: {_RETRY}\n\n".encode())
            known: _Shown | None = None
            while not self._board.closed:
                shown = self._board.after(known)
                before = known.parts if known else {}
                new = {id_: html for id_, html in shown.parts.items() if before.get(id_) != html}
                self._send("parts" if new else "beat", new)
                known = shown
        finally:
            self._streams.release()

    def _send(self, event: str, data: Mapping[str, str]) -> None:
        self.wfile.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())

    def version_string(self) -> str:
        """Name the program, and not its version or Python's."""
        return "federator"

    def log_message(self, *_: object) -> None:
        """Write nothing of a request: its address has the token."""
