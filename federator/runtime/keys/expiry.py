"""When keys and certificates end: who is warned, how early, and in which words.

Certificates are looked at where sites see them: in an answer of the server, or on the disk.
"""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from cryptography import x509

from federator.runtime.keys.coordinator_key import CoordinatorKey, read_keys

log = logging.getLogger("federator")

WARN_BEFORE = timedelta(days=30)
"""How early to warn; certbot renews as early: https://eff-certbot.readthedocs.io."""
_EVERY, _AGAIN = 86400.0, 60.0  # seconds between two looks, and after one that failed
_PATIENCE = 10.0  # seconds


def warning(what: str, ends: datetime, remedy: str) -> str | None:
    """Return a warning that something ends soon, or has ended; None while there is time.

    Args:
        what: what ends, such as "the server's certificate".
        ends: when.
        remedy: what to do about it, and who does it.
    """
    left = ends - datetime.now(UTC)
    if left > WARN_BEFORE:
        return None
    if left <= timedelta():
        return f"{what} has ended, on {ends:%Y-%m-%d}: {remedy}"
    return f"{what} ends in {left.days} days, on {ends:%Y-%m-%d}: {remedy}"


def served_until(answer: httpx.Response) -> datetime:
    """Return when the certificate ends with which an answer came; its stream must be open."""
    encrypted = answer.extensions["network_stream"].get_extra_info("ssl_object")
    ends = ssl.cert_time_to_seconds(encrypted.getpeercert()["notAfter"])
    return datetime.fromtimestamp(ends, UTC)


def certificates_end(path: Path) -> datetime:
    """Return when the first of the certificates in a file (PEM) ends.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it has none.
    """
    found = x509.load_pem_x509_certificates(path.read_bytes())
    return min(one.not_valid_after_utc for one in found)


def at_site(
    keys: Sequence[CoordinatorKey], authority: Path | None, trusted: Path | None, server: str
) -> Iterator[str]:
    """Yield a site's warnings: of the coordinator's keys, the authority, the server's certificate.

    Args:
        keys: the coordinator's, of which the one that ends last counts.
        authority: the federation's own authority (PEM); None where a public one vouches.
        trusted: whom the site trusts (PEM); None for the system's certificates.
        server: ``host:port``.

    Raises:
        OSError: if the server is not reached, or a file cannot be read.
    """
    if keys:
        last = max(keys, key=lambda key: key.ends)
        remedy = "ask the coordinator for a file with the next one"
        yield from _told(warning(f"the coordinator's key {last.name}", last.ends, remedy))
    if authority is not None:
        remedy = "ask the coordinator for a file with a new one"
        ends = certificates_end(authority)
        yield from _told(warning("the server's certificate authority", ends, remedy))
    context = ssl.create_default_context(cafile=trusted)
    try:
        with (
            httpx.Client(verify=context, timeout=_PATIENCE) as client,
            client.stream("GET", f"https://{server}/health") as answer,
        ):
            ends = served_until(answer)
    except httpx.HTTPError as error:
        raise OSError(str(error)) from None
    remedy = "tell the coordinator: federator provision --renew"
    yield from _told(warning("the server's certificate", ends, remedy))


def at_server(published: str, gateway: str) -> Iterator[str]:
    """Yield the coordinator's warnings: of the key that signs, and of what the gateway shows.

    Args:
        published: the coordinator's keys, as the sites' files name them: the first one signs.
        gateway: ``host:port``; empty if there is none.

    Raises:
        OSError: if the gateway is not reached.
        ValueError: if it shows no certificate.
        InputError: if there are keys that are none.
    """
    keys = read_keys(published.split()) if published else ()
    for key in keys[:1]:
        remedy = "federator key retire" if keys[1:] else "federator key add"
        yield from _told(warning(f"your key {key.name}", key.ends, remedy))
    if gateway:
        host, _, port = gateway.rpartition(":")
        # It is not verified: the sites do that, who know whom to trust.
        pem = ssl.get_server_certificate((host, int(port)), timeout=_PATIENCE)
        ends = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
        remedy = "federator provision --renew, then start the gateway again"
        yield from _told(warning("the server's certificate", ends, remedy))


def told_at_server(published: str, gateway: str) -> list[str]:
    """Return what :func:`at_server` yields, and what could not be looked at, as a warning, too.

    Raises:
        InputError: if there are keys that are none.
    """
    told = []
    try:
        for text in at_server(published, gateway):
            told.append(text)
    except (OSError, ValueError) as error:
        told.append(f"when the server's certificate ends is unknown: {error}")
    return told


def watch(look: Callable[[], Iterable[str]]) -> threading.Thread:
    """Log, beside what this process does, what a look tells: now, and once a day.

    Args:
        look: yields warnings; if it raises OSError or ValueError, it is tried again in a minute.
    """

    def keep_looking() -> None:
        while True:
            try:
                for told in look():
                    log.warning("%s", told)
            except (OSError, ValueError):
                time.sleep(_AGAIN)  # whoever uses the connection says what is wrong with it
            else:
                time.sleep(_EVERY)

    thread = threading.Thread(target=keep_looking, name="expiry", daemon=True)
    thread.start()
    return thread


def _told(text: str | None) -> Iterator[str]:
    if text is not None:
        yield text
