"""Docker's logins: made as ``docker login`` does, and read where Docker reads them."""

import base64
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from federator.errors import InputError, Problem
from federator.images import engine
from federator.images.engine import EngineError
from federator.images.reference import DOCKER_HUB

_HUB_KEY = "https://index.docker.io/v1/"
_HELPER_SECONDS = 30  # a helper that asks a person in a window would wait for ever
_VARIABLES = "DOCKERHUB_USERNAME", "DOCKERHUB_TOKEN"
_REFUSALS = "unauthorized", "denied", "incorrect"


class _Entry(BaseModel):
    auth: str = ""
    identitytoken: str = ""


class _Settings(BaseModel):
    auths: dict[str, _Entry] = {}
    credsStore: str = ""
    credHelpers: dict[str, str] = {}


class _Answer(BaseModel):
    Username: str
    Secret: str


@dataclass(frozen=True)
class Login:
    """A user of a registry. ``secret`` is the password or, where ``is_token``, a refresh token."""

    user: str
    secret: str = field(repr=False)
    is_token: bool = False


def log_in(host: str) -> None:
    """Log Docker in at a registry, as DOCKERHUB_USERNAME with DOCKERHUB_TOKEN.

    Raises:
        InputError: if the environment lacks one of them, or the registry does not accept them.
        EngineError: if it could not be asked.
    """
    # As they are pasted, a file's byte order mark and line end come with them.
    user, token = (os.environ.get(name, "").strip("\ufeff \r\n\t") for name in _VARIABLES)
    hint = f"set them right: {' and '.join(_VARIABLES)}, secrets of the repository"
    if not user or not token:
        raise InputError(Problem(f"there is no login for {host}", hint=hint))
    try:
        engine.docker("login", f"--username={user}", "--password-stdin", "--", host, given=token)
    except EngineError as error:
        if any(word in str(error).lower() for word in _REFUSALS):
            raise InputError(Problem(f"{host} refuses the login", hint=hint)) from None
        raise


def docker_login(host: str) -> Login | None:
    """The login of a registry in Docker's configuration; ``None`` means nobody is logged in.

    Raises:
        InputError: Docker's configuration cannot be read.
    """
    folder = os.environ.get("DOCKER_CONFIG")
    path = (Path(folder) if folder else Path.home() / ".docker") / "config.json"
    try:
        settings = _Settings.model_validate_json(path.read_bytes())
        key = _HUB_KEY if host == DOCKER_HUB else host
        helper = settings.credHelpers.get(key, settings.credsStore)
        login = _from_helper(helper, key) if helper else None
        return login or _from_file(settings.auths, host)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        problem = Problem(
            f"{path} cannot be read as Docker's configuration ({type(error).__name__})",
            hint="correct it, or move it away and run `docker login` again",
        )
        raise InputError(problem) from None


def _from_file(auths: dict[str, _Entry], host: str) -> Login | None:
    for key, entry in auths.items():
        # Old versions of Docker wrote an address, newer ones the host alone.
        name = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if name != host and not (host == DOCKER_HUB and name == "index.docker.io"):
            continue
        pair = base64.b64decode(entry.auth, validate=True).decode()
        user, _, password = pair.partition(":")
        if entry.identitytoken or password:
            return Login(user, entry.identitytoken or password, bool(entry.identitytoken))
    return None


def _from_helper(name: str, key: str) -> Login | None:
    """Asks a credential helper: https://docs.docker.com/reference/cli/docker/login/."""
    try:
        answer = subprocess.run(
            [f"docker-credential-{name}", "get"],
            input=key,
            capture_output=True,
            text=True,
            timeout=_HELPER_SECONDS,
            check=True,
        )
        login = _Answer.model_validate_json(answer.stdout)
        return Login(login.Username, login.Secret, is_token=login.Username == "<token>")
    # A helper that has no login for the registry fails too, each in words of its own.
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
