"""The doctor's checks of the connection to the server, and of the site's key."""

import socket
import ssl
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from federator.errors import InputError
from federator.runtime.doctor.finding import Finding
from federator.runtime.keys import site_key
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.keys.expiry import served_until
from federator.runtime.link.admission import (
    SKEW,
    Client,
    ConnectionRefused,
    NotRegistered,
    clock_skew,
    note,
)
from federator.runtime.link.proxy import host_of, place_of, proxy_for
from federator.runtime.link.unreached import out_of_reach, remedy_for

_LAST_DAYS = 7  # the coordinator is asked to renew before


def look(
    server: str,
    authorities: Path | None,
    key: Path,
    coordinator: Sequence[CoordinatorKey] = (),
    again: Callable[[], bool] = lambda: False,
) -> Iterator[Finding]:
    """Look at the keys, and at the way to the server; ends where nothing further can be seen.

    Args:
        server: its ``host:port``.
        authorities: whom to trust; None for the system's.
        key: the site's private key.
        coordinator: the coordinator's keys.
        again: says whether to ask once more, if the server does not know the site's key.
    """
    yield from _coordinator(coordinator)
    try:
        private = site_key.read_private(key)
        yield _described(key, site_key.fingerprint(private.public_key()))
    except InputError as error:
        private = None
        yield Finding(False, error.problems[0].message, error.problems[0].hint or "")
    yield (reached := _name(server))
    if not reached.passed:
        return
    context = ssl.create_default_context(cafile=authorities)
    try:
        with httpx.Client(verify=context, timeout=10) as client:
            yield from _answer(client, server)
    except httpx.HTTPError as error:
        yield Finding(False, out_of_reach(server, error), remedy_for(server, error))
        return
    if private is not None:
        yield _admission(server, authorities, private, note(key), again)


def _admission(
    server: str,
    authorities: Path | None,
    key: ec.EllipticCurvePrivateKey,
    noted: Path,
    again: Callable[[], bool],
) -> Finding:
    """Find out whether the server lets the site's key in."""
    while True:
        try:
            with Client.connect(server, authorities, key, 0.0, False) as link:
                link.check_access(noted)
            return Finding(True, "the server lets this site's key in")
        except ConnectionRefused as error:
            if isinstance(error, NotRegistered) and again():
                continue
            what, _, remedy = str(error).partition(": ")
            return Finding(False, what, remedy.strip() or "ask the coordinator")


def _coordinator(keys: Sequence[CoordinatorKey]) -> Iterator[Finding]:
    """Look at the keys that instructions are signed with: one of them must last."""
    for known in sorted(keys, key=lambda one: one.ends)[-1:]:
        left = (known.ends - datetime.now(UTC)).days
        remedy = "ask the coordinator for a file with the next key"
        told = f"the coordinator's key {known.name} is valid until {known.last_day}"
        yield Finding(left > _LAST_DAYS, told, remedy)


def _described(key: Path, fingerprint: str) -> Finding:
    mode = stat.S_IMODE(key.stat().st_mode)
    remedy = f"chmod 600 {key}, or, if others could read it, make a new one"
    told = f"this site's key is {fingerprint}, file mode {mode:o}"
    return Finding(not mode & 0o077, told, remedy)


def _name(server: str) -> Finding:
    """Look the name up that is connected to: the proxy's, or the server's."""
    through = proxy_for(server)
    try:
        looked_up = host_of(place_of(through) if through else server)
    except InputError as error:
        return Finding(False, error.problems[0].message, error.problems[0].hint or "")
    kind = "the name of HTTPS_PROXY's proxy" if through else "the server's name"
    try:
        address = socket.getaddrinfo(looked_up, None, type=socket.SOCK_STREAM)[0][4][0]
        return Finding(True, f"{kind}, {looked_up}, is {address}")
    except OSError as error:
        remedy = "is it written correctly, and does this machine's name server know it?"
        return Finding(False, f"{kind}, {looked_up}, is not known ({error.strerror})", remedy)


def _answer(client: httpx.Client, server: str) -> Iterator[Finding]:
    """Look at certificate, clock and health in one answer of the server."""
    with client.stream("GET", f"https://{server}/health") as answer:
        encrypted = answer.extensions["network_stream"].get_extra_info("ssl_object")
        version, ends = encrypted.version(), served_until(answer)
    left = (ends - datetime.now(UTC)).days
    yield Finding(True, f"{server} is reached, and shows a trusted certificate ({version})")
    remedy = "tell the coordinator: federator provision --renew"
    yield Finding(left > _LAST_DAYS, f"the certificate is valid for {left} more days", remedy)
    skew = clock_skew(answer)
    remedy = "set it right: turn NTP on"
    yield Finding(abs(skew) < SKEW, f"this machine's clock is {skew:+.0f} s off", remedy)
    remedy = "tell the coordinator: the gateway is up, but what is behind it is not"
    healthy = answer.status_code == httpx.codes.OK
    yield Finding(healthy, f"the server's health is {answer.status_code}", remedy)
