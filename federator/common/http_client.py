"""HTTP requests that are repeated while a service is busy, with errors that say what to do."""

import logging
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from federator.errors import FederatorError, Problem

_log = logging.getLogger(__name__)

_BUSY = (429, 500, 502, 503, 504)
_TIMEOUT = (10, 30)  # seconds to connect, and between two pieces of an answer
_LONGEST_PAUSE = 60.0  # seconds, unless the service itself asks for more


class WebError(FederatorError):
    """A service on the network refused, or could not be asked."""


class RateLimitError(WebError):
    """The service wants fewer questions."""


class UnreachableError(WebError):
    """No answer: no network, a proxy, a certificate, or a service that is down."""


@dataclass(frozen=True)
class Patience:
    """How long a question is repeated while a service is busy or cannot be reached.

    Args:
        limit: Seconds that one question may take in all.
        pause: Seconds before the first repetition; each later one waits twice as long, up to 60.
    """

    limit: float = 60.0
    pause: float = 1.0


PATIENCE = Patience()


def ask(
    method: str,
    url: str,
    *,
    authorization: str | None = None,
    accept: str = "application/json",
    headers: Mapping[str, str] | None = None,
    params: dict[str, str] | None = None,
    data: dict[str, str] | None = None,
    json: object = None,
    redirects: bool = True,
    stream: bool = False,
    repeatable: bool = True,
    patience: Patience = PATIENCE,
) -> requests.Response:
    """Sends a request, again if need be, and returns the answer whatever its status.

    Errors and log lines name the host alone: an address, a header or a proxy may hold a secret.

    A request that is not ``repeatable`` is sent again only where the service said that it did
    nothing yet. With ``stream`` the answer's content stays on the line, to be read in pieces.

    Raises:
        RateLimitError: The service is still asking for fewer questions when patience ends, or
            asks for a longer wait than that.
        UnreachableError: There is no answer, or only answers that the service is down.
    """

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Given as a function even when there is nothing to add, since requests would otherwise
        # send what it finds in ~/.netrc.
        if authorization:
            request.headers["Authorization"] = authorization
        return request

    host = urlsplit(url).netloc.rpartition("@")[2]
    deadline = time.monotonic() + patience.limit
    pause = patience.pause
    while True:
        failure: WebError
        try:
            answer = requests.request(
                method,
                url,
                params=params,
                data=data,
                json=json,
                headers={"Accept": accept, **(headers or {})},
                auth=authorize,
                proxies={"http": ""},  # plain HTTP is spoken to this machine only
                timeout=_TIMEOUT,
                allow_redirects=redirects,
                stream=stream,
            )
        except requests.exceptions.SSLError as error:
            raise _untrusted(host, error) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            failure = _unreachable(host, error)
        except requests.RequestException as error:
            raise WebError(f"{host} cannot be asked ({type(error).__name__})") from None
        else:
            limited = _is_limited(answer)
            if answer.status_code not in _BUSY and not limited:
                return answer
            wanted = _wanted_pause(answer)
            failure = (_limits if limited else _down)(host, answer, wanted)
            pause = max(pause, wanted)
        sendable = repeatable or isinstance(failure, RateLimitError)
        if not sendable or time.monotonic() + pause > deadline:
            raise failure
        _log.warning("%s; trying again in %.0f s", failure.problems[0].message, pause)
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_local(host: str) -> bool:
    """Whether a host is this machine, to which alone plain HTTP is spoken."""
    name = urlsplit(f"//{host}").hostname or ""
    return name in ("localhost", "127.0.0.1", "::1")


def is_encrypted(url: str) -> bool:
    """Whether nobody on the way can read what is sent: by TLS, or to this machine."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_local(parts.netloc)


def _is_limited(answer: requests.Response) -> bool:
    """Whether the service wants fewer questions: GitHub often says so by 403."""
    status = answer.status_code
    return status == 429 or (status == 403 and "rate limit" in answer.text.lower())


def _wanted_pause(answer: requests.Response) -> float:
    """The wait that the service asks for, in seconds; 0 if it names none.

    It may name it by RFC 9110 (10.2.3), or by the time at which its limit is renewed; GitHub
    wants a minute where it names neither
    (https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api).
    """
    after = answer.headers.get("Retry-After", "").strip()
    renewed = answer.headers.get("X-RateLimit-Reset", "").strip()
    spent = answer.headers.get("X-RateLimit-Remaining", "").strip() == "0"
    if not after and spent and renewed.isdecimal():
        return max(0.0, float(renewed) - time.time())
    if not after and answer.status_code == 403:
        return 60.0
    try:
        if after.isdecimal():
            return float(after)
        return (parsedate_to_datetime(after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a time zone
        return 0.0


def _down(host: str, answer: requests.Response, wanted: float) -> UnreachableError:
    hint = f"the service itself is in trouble: try again {_later(wanted)}"
    return UnreachableError(Problem(f"{host} is down (it answers {answer.status_code})", hint=hint))


def _limits(host: str, answer: requests.Response, wanted: float) -> RateLimitError:
    hint = f"try again {_later(wanted)}"
    if "Authorization" not in answer.request.headers:
        hint += "; with a login the limit is usually higher"
    return RateLimitError(Problem(f"{host} limits the rate of questions", hint=hint))


def _later(seconds: float) -> str:
    if not 0 < seconds < 86_400:
        return "another day" if seconds > 0 else "later"
    return f"in {seconds:.0f} s, at {datetime.now() + timedelta(seconds=seconds):%H:%M}"


def _unreachable(host: str, error: requests.RequestException) -> UnreachableError:
    if isinstance(error, requests.exceptions.ProxyError):
        hint = "correct HTTPS_PROXY, or name the host in NO_PROXY"
        return UnreachableError(Problem(f"the proxy does not lead to {host}", hint=hint))
    if isinstance(error, requests.Timeout):
        return UnreachableError(
            Problem(f"{host} does not answer in time", hint="is a firewall or a proxy in the way?")
        )
    cause = _cause(error)
    if isinstance(cause, socket.gaierror):
        hint = "is there a network, and is the host's name right?"
        return UnreachableError(Problem(f"the name {host} cannot be resolved", hint=hint))
    words = (isinstance(cause, OSError) and cause.strerror) or "the connection broke"
    hint = "is it running, and does a firewall let it through?"
    return UnreachableError(Problem(f"{host} cannot be reached ({words})", hint=hint))


def _untrusted(host: str, error: requests.RequestException) -> UnreachableError:
    words = getattr(_cause(error), "verify_message", "") or "no TLS connection"
    hint = "where a proxy or the host has a CA of its own, name its file in REQUESTS_CA_BUNDLE"
    return UnreachableError(
        Problem(f"the certificate of {host} is not accepted ({words})", hint=hint)
    )


def _cause(error: BaseException) -> BaseException:
    while error.__context__ is not None:
        error = error.__context__
    return error
