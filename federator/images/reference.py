"""The name of an image, read as Docker reads it.

The grammar is that of https://pkg.go.dev/github.com/distribution/reference; a name without a
host means Docker Hub, and one without a namespace there means its ``library``.
"""

import re
from dataclasses import dataclass, replace

from federator.errors import InputError, Problem

DOCKER_HUB = "docker.io"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = re.compile(r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """The place of an image: ``host/repository:tag@digest``, the digest outranking the tag."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """Reads what a person writes, such as ``acme/link:1`` or ``localhost:5000/link``.

        Raises:
            InputError: The text does not name an image.
        """
        name, at, digest = text.partition("@")
        first, slash, rest = name.partition("/")
        named = bool(slash) and (first == "localhost" or "." in first or ":" in first)
        host, path = (first, rest) if named else (DOCKER_HUB, name)
        if host in ("index.docker.io", "registry-1.docker.io"):
            host = DOCKER_HUB
        repository, colon, tag = path.partition(":")
        if host == DOCKER_HUB and "/" not in repository:
            repository = f"library/{repository}"
        if not (
            _HOST.fullmatch(host)
            and _REPOSITORY.fullmatch(repository)
            and (_TAG.fullmatch(tag) or not colon)
            and (_DIGEST.fullmatch(digest) or not at)
        ):
            problem = Problem(
                f"“{text}” does not name an image",
                hint="write it in small letters: host/namespace/name:tag or …@sha256:…",
            )
            raise InputError(problem)
        return cls(host, repository, tag or (None if digest else "latest"), digest or None)

    def at(self, digest: str) -> "Reference":
        """The same repository's image of that digest, without a tag: what a site is given."""
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"
