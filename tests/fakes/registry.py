"""A small registry that speaks as Docker Hub is documented to, on this machine.

https://distribution.github.io/distribution/spec/auth/token/ for the tokens, and the errors of
https://docs.docker.com/docker-hub/usage/: who may not read a repository cannot tell it from one
that does not exist.
"""

import base64
import hashlib
import json
from urllib.parse import parse_qs, urlsplit

from fakes.http_service import Answers, Service

USER, PASSWORD, REFRESH_TOKEN = "ada", "correct horse", "battery staple"
OCI = "application/vnd.oci.image.{}.v1+json"


def layered(*sizes):
    """A manifest whose layers have these sizes."""
    layers = [{"digest": f"sha256:{size:064x}", "size": size} for size in sizes]
    return {"mediaType": OCI.format("manifest"), "layers": layers}


def digest_of(manifest):
    return f"sha256:{hashlib.sha256(json.dumps(manifest).encode()).hexdigest()}"


class Hub(Service):
    """Holds manifests by repository and tag; ``trouble`` are answers to give before the right one.

    Attributes:
        public: Repositories that anybody may read.
        private: Repositories that ``USER`` may read too.
        trouble: ``(status, headers)`` of the next answers, whatever is asked.
        challenge: The kind of login that is asked for: ``Bearer``, ``Basic``, another or none.
        asked: ``METHOD path`` of every request so far.
    """

    def __init__(self):
        super().__init__(_Handler)
        self.public, self.private = {}, {}
        self.trouble, self.asked = [], []
        self.challenge, self.realm = "Bearer", None
        self.names_digests = True
        self.tokens = {}

    @property
    def host(self):
        return f"127.0.0.1:{self.server_port}"

    def lapse(self):
        """All tokens that were given out lose their validity."""
        self.tokens.clear()


class _Handler(Answers):
    def do_GET(self):
        hub = self.server
        address = urlsplit(self.path)
        hub.asked.append(f"{self.command} {address.path}")
        if hub.trouble:
            status, headers = hub.trouble.pop(0)
            return self.answer(status, headers=headers)
        if address.path == "/token":
            return self.give_token({k: v[0] for k, v in parse_qs(address.query).items()})
        _, _, path = address.path.partition("/v2/")
        repository, _, name = path.partition("/manifests/")
        if not self.may_read(repository):
            return self.answer(401, {"errors": [{"code": "UNAUTHORIZED"}]}, self.login(repository))
        tags = (hub.public | hub.private).get(repository, {})
        found = tags.get(name) or next((m for m in tags.values() if digest_of(m) == name), None)
        if found is None:
            return self.answer(404, {"errors": [{"code": "MANIFEST_UNKNOWN"}]})
        named = {"Docker-Content-Digest": digest_of(found)} if hub.names_digests else {}
        return self.answer(200, found, named)

    do_HEAD = do_GET

    def do_POST(self):
        fields = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.asked.append(f"POST {self.path}")
        form = {key: values[0] for key, values in fields.items()}
        known = form.get("refresh_token") == REFRESH_TOKEN
        return self.give_token(form, USER) if known else self.answer(401)

    def user(self):
        """The user that Basic credentials name: ``""`` without any, ``None`` if they are wrong."""
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return ""
        right = base64.b64decode(value).decode() == f"{USER}:{PASSWORD}"
        return USER if right else None

    def give_token(self, asked, user=None):
        user = self.user() if user is None else user
        if user is None:
            return self.answer(401, {"details": "incorrect username or password"})
        assert asked["service"] == "registry.example"
        _, repository, _ = asked["scope"].split(":")
        # A token is given in any case; what it is good for is seen when it is used.
        readable = self.server.public if not user else self.server.public | self.server.private
        token = f"token-{len(self.server.asked)}"
        self.server.tokens[token] = repository if repository in readable else None
        return self.answer(200, {"token": token, "expires_in": 300})

    def may_read(self, repository):
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if self.server.challenge == "Basic":
            return self.user() == USER
        return kind == "Bearer" and self.server.tokens.get(value) == repository

    def login(self, repository):
        hub = self.server
        realm = hub.realm or f"http://{hub.host}/token"
        fields = f'realm="{realm}",service="registry.example",scope="repository:{repository}:pull"'
        return {"WWW-Authenticate": f"{hub.challenge} {fields}"} if hub.challenge else {}
