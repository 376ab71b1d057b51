"""A registry's answers about an image: its digest, its size, and whether anybody can read it.

This client uses the OCI distribution protocol
(https://distribution.github.io/distribution/spec/api/) and the tokens that Docker Hub and other
registries want (https://distribution.github.io/distribution/spec/auth/token/), with the logins of
Docker.
"""

import base64
import functools
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import requests
from pydantic import BaseModel, ValidationError

from federator.common import http_client
from federator.errors import Problem
from federator.images.login import Login, docker_login
from federator.images.reference import DOCKER_HUB, Reference
from federator.runtime.files import sha256

_MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class RegistryError(http_client.WebError):
    """A registry refused a request, or does not have the image."""


class LoginError(RegistryError):
    """The login is missing, wrong, or not allowed to see the repository."""


class _Platform(BaseModel):
    os: str = ""
    architecture: str = ""


class _Part(BaseModel):
    digest: str
    size: int
    platform: _Platform = _Platform()


class _Manifest(BaseModel):
    """Either an index of ``manifests``, one for each platform, or the ``layers`` of one image."""

    manifests: list[_Part] = []
    layers: list[_Part] | None = None


class _Token(BaseModel):
    token: str = ""
    access_token: str = ""


class Registry:
    """Asks registries about images. No error or log line names a user, password or token.

    Args:
        login: Gives the login of a host, or ``None`` to ask as anybody.
        patience: How long a question is repeated where a registry is busy or down.
    """

    def __init__(
        self,
        login: Callable[[str], Login | None] = docker_login,
        patience: http_client.Patience = http_client.PATIENCE,
    ) -> None:
        self._login = login
        self._patience = patience
        self._web = functools.partial(
            http_client.ask,
            accept=", ".join((*_MANIFEST_TYPES, "application/json")),
            patience=patience,
        )
        self._keys: dict[tuple[str, str], str] = {}  # (host, repository): Authorization header

    def digest(self, image: str) -> str | None:
        """The digest (``sha256:…``) of an image; ``None`` if the registry has no such tag.

        Raises:
            InputError: The name is not that of an image, or Docker's configuration is broken.
            WebError: The registry refused, or could not be asked (so do the other methods).
        """
        reference = Reference.parse(image)
        answer = self._ask("HEAD", reference)
        if answer.status_code == 404:
            return None
        named = answer.headers.get("Docker-Content-Digest")
        return named or f"sha256:{sha256(self._manifest(reference))}"

    def size(self, image: str) -> int:
        """The bytes that a new site downloads: the compressed layers for linux/amd64."""
        reference = Reference.parse(image)
        try:
            manifest = _Manifest.model_validate_json(self._manifest(reference))
            for part in manifest.manifests:
                if part.platform == _Platform(os="linux", architecture="amd64"):
                    content = self._manifest(reference.at(part.digest))
                    manifest = _Manifest.model_validate_json(content)
        except ValidationError:
            raise RegistryError(f"{reference.host} gives no manifest for {reference}") from None
        if manifest.layers is None:
            raise RegistryError(f"{reference} has no image for linux/amd64")
        return sum(layer.size for layer in manifest.layers)

    def is_public(self, image: str) -> bool:
        """Whether anybody can read the image's repository without a login."""
        try:
            Registry(lambda _: None, self._patience)._ask("HEAD", Reference.parse(image))
        except LoginError:
            return False
        return True

    def _manifest(self, image: Reference) -> bytes:
        answer = self._ask("GET", image)
        if answer.status_code == 404:
            hint = "push it first, or correct its name"
            raise RegistryError(Problem(f"there is no image {image}", hint=hint))
        return answer.content

    def _ask(self, method: str, image: Reference) -> requests.Response:
        """Asks for a manifest, logging in where the registry wants it: status 200 or 404."""
        host = "registry-1.docker.io" if image.host == DOCKER_HUB else image.host
        scheme = "http" if http_client.is_local(host) else "https"
        url = f"{scheme}://{host}/v2/{image.repository}/manifests/{image.digest or image.tag}"
        place = (image.host, image.repository)
        answer = self._web(method, url, authorization=self._keys.get(place))
        if answer.status_code == 401:  # the first question, or a token that has lapsed
            self._keys[place] = self._key(image, answer.headers.get("WWW-Authenticate", ""))
            answer = self._web(method, url, authorization=self._keys[place])
        if answer.status_code == 401 and self._keys[place].startswith("Basic "):
            raise _wrong_login(image.host)
        if answer.status_code in (401, 403):
            raise _refusal(image)
        if answer.status_code not in (200, 404):
            raise RegistryError(f"{host} answers {answer.status_code} when asked for {image}")
        return answer

    def _key(self, image: Reference, challenge: str) -> str:
        """The Authorization header that answers a challenge."""
        login = self._login(image.host)
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            if login is None:
                raise _no_login(image.host)
            return _basic(login)
        fields: dict[str, str] = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = urlsplit(fields.get("realm", ""))
        if scheme.lower() != "bearer" or not realm.netloc:
            raise RegistryError(f"{image.host} requires a kind of login that is not supported")
        if not http_client.is_encrypted(realm.geturl()):
            raise RegistryError(f"{image.host} requires unencrypted logins, which are refused")
        wanted = {
            "service": fields.get("service", ""),
            "scope": fields.get("scope") or f"repository:{image.repository}:pull",
        }
        if login and login.is_token:
            wanted |= {"grant_type": "refresh_token", "refresh_token": login.secret}
            wanted |= {"client_id": "federator"}
            answer = self._web("POST", realm.geturl(), data=wanted)
        else:
            key = _basic(login) if login else None
            answer = self._web("GET", realm.geturl(), authorization=key, params=wanted)
        if answer.status_code == 401:
            raise _wrong_login(image.host) if login else _no_login(image.host)
        if answer.status_code == 403:
            raise _refusal(image)
        try:
            token = _Token.model_validate_json(answer.content)
        except ValidationError:
            raise RegistryError(f"{realm.netloc} gives no token for {image}") from None
        return f"Bearer {token.token or token.access_token}"


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.user}:{login.secret}".encode()).decode()


def _no_login(host: str) -> LoginError:
    return LoginError(Problem(f"{host} requires a login", hint=f"run `docker login {host}`"))


def _wrong_login(host: str) -> LoginError:
    # Without the user's name: some registries want a token there.
    hint = f"run `docker login {host}` again; an access token may be wanted for a password"
    return LoginError(Problem(f"{host} does not accept the login: wrong password", hint=hint))


def _refusal(image: Reference) -> LoginError:
    what = f"{image.host} has no repository {image.repository}, or this login may not read it"
    return LoginError(
        Problem(what, hint=f"correct its name, or run `docker login {image.host}` as one who may")
    )
