"""Where notices arrive on this machine: an HTTP service, and a mail server."""

import json
from contextlib import contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from fakes.http_service import Answers, Service

from federator.deploy.local.superlink import free_port


class Hook(Service):
    """A webhook, which answers with ``status``.

    Attributes:
        received: what arrived: the path and the JSON.
    """

    def __init__(self):
        super().__init__(_Posted)
        self.status, self.received = 200, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/services/SECRET"


class _Posted(Answers):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(content)))
        self.answer(self.server.status)


class Post:
    """What a mail server takes.

    Attributes:
        received: the messages.
        refuses: whether it takes none.
    """

    def __init__(self):
        self.received, self.refuses = [], False

    async def handle_DATA(self, _server, _session, envelope):
        if self.refuses:
            return "451 later"
        self.received.append(envelope)
        return "250 OK"


@contextmanager
def mail_server(user="fl", password="open sesame", tls_context=None):
    """A mail server that one user may use; it gives its port, and what it takes."""

    def check(_server, _session, _envelope, _mechanism, told):
        right = isinstance(told, LoginPassword) and told.login == user.encode()
        right = right and told.password == password.encode()
        return AuthResult(success=right, handled=False)

    post = Post()
    server = Controller(
        post, hostname="127.0.0.1", port=free_port(), authenticator=check, auth_require_tls=False,
        tls_context=tls_context,
    )  # fmt: skip
    server.start()
    try:
        yield server.port, post
    finally:
        server.stop()
