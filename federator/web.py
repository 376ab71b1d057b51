"""Requests to services on the network: patient with busy ones, clear about unreachable ones."""

import logging
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests

from federator.errors import FederatorError, Problem

_log = logging.getLogger(__name__)

_BUSY = (429, 500, 502, 503, 504)
_TIMEOUT = (10, 30)  # seconds to connect, and between two pieces of an answer


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
        pause: Seconds before the first repetition; each later one waits twice as long.
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
    params: dict[str, str] | None = None,
    data: dict[str, str] | None = None,
    patience: Patience = PATIENCE,
) -> requests.Response:
    """Sends a request that may safely be repeated, and returns the answer whatever its status.

    Errors and log lines name the host alone: an address, a header or a proxy may hold a secret.

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
                headers={"Accept": accept},
                auth=authorize,
                proxies={"http": ""},  # plain HTTP is spoken to this machine only
                timeout=_TIMEOUT,
            )
        except requests.exceptions.SSLError as error:
            raise _untrusted(host, error) from None
        except (requests.ConnectionError, requests.Timeout) as error:
            failure = _unreachable(host, error)
        except requests.RequestException as error:
            raise WebError(f"{host} cannot be asked ({type(error).__name__})") from None
        else:
            if answer.status_code not in _BUSY:
                return answer
            wanted = _retry_after(answer)
            failure = _busy(host, answer.status_code, wanted)
            pause = max(pause, wanted)
        if time.monotonic() + pause > deadline:
            raise failure
        _log.warning("%s; trying again in %.0f s", failure.problems[0].message, pause)
        time.sleep(pause)
        pause *= 2


def _retry_after(answer: requests.Response) -> float:
    """The wait that the service asks for, in seconds (RFC 9110, 10.2.3); 0 if it names none."""
    text = answer.headers.get("Retry-After", "").strip()
    try:
        if text.isdecimal():
            return float(text)
        return (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a time zone
        return 0.0


def _busy(host: str, status: int, wanted: float) -> WebError:
    when = f"in {wanted:.0f} s" if wanted else "later"
    if status != 429:
        hint = f"the service itself is in trouble: try again {when}"
        return UnreachableError(Problem(f"{host} is down (it answers {status})", hint=hint))
    hint = f"try again {when}; with a login the limit is usually higher"
    return RateLimitError(Problem(f"{host} limits the rate of questions", hint=hint))


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
