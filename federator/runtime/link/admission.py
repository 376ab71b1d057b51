"""How the server admits a site; a refusal is explained in words.

With fleet.py, this touches Flower's internals: the client of the Fleet API, its retries.
"""

import fcntl
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    RegisterNodeFleetRequest,
    UnregisterNodeFleetRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supercore.run import RunNotRunningException
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from federator.errors import RunError
from federator.runtime.keys.site_key import line
from federator.runtime.link.proxy import place_of, proxy_for
from federator.runtime.link.unreached import BEHIND, out_of_reach, proxy_status

log = logging.getLogger("federator")

_ENTRANCE = "/v1/fleet/activate-node"
_CONNECTED = 10.0  # seconds until a server that says nothing is tried again: the line may be back
_LONGEST_PAUSE = 5  # seconds between calls to a server that is down; Flower's own bound is 20
SKEW = 5.0
"""Seconds that a clock may be off; Flower itself takes 5 ahead, and 305 behind."""


class ConnectionRefused(RunError):
    """The server could not be reached, or does not let this site in."""


class NotRegistered(ConnectionRefused):
    """The server does not know this site's key: the coordinator has not admitted it yet."""


class Client(FleetHttpClient):
    """Flower's client of the Fleet API, with words for what goes wrong."""

    _address: str
    _key: ec.EllipticCurvePublicKey
    _retry: RetryInvoker
    _presence: BinaryIO | None = None  # locked while this site is announced, for the doctor

    @classmethod
    def connect(
        cls,
        address: str,
        root_certificates: Path | None,
        key: ec.EllipticCurvePrivateKey,
        patience: float | None,
        insecure: bool,
    ) -> Self:
        """Return a client; nothing is sent yet. Its arguments are those of ``fleet.connect``.

        Raises:
            InputError: if HTTPS_PROXY is no address of a proxy.
        """
        if through := proxy_for(address):
            place_of(through)
        trusted = root_certificates.read_bytes() if root_certificates else None
        interceptors: Sequence[ProtobufClientInterceptor] = [
            RuntimeVersionHttpInterceptor(component_name="SuperNode"),
            NodeAuthHttpInterceptor(key, key.public_key()),
        ]
        retry = _retry(address, patience)
        client = cls.from_server_address(
            address, insecure, trusted, interceptors, retry_invoker=retry
        )
        client._address, client._key, client._retry = address, key.public_key(), retry
        return client

    def __init__(
        self,
        base_url: str,
        *,
        verify: ssl.SSLContext | bool | str = True,
        **rest: Any,  # noqa: ANN401  # Flower's
    ) -> None:
        # httpx brings certificates of its own; a hospital adds its authority to the system's.
        super().__init__(
            base_url, verify=ssl.create_default_context() if verify is True else verify, **rest
        )
        # A site connects to the server that its file names, and to no other that this one names.
        self._client.follow_redirects = False
        self._client.timeout = httpx.Timeout(self._client.timeout.read, connect=_CONNECTED)

    def activate(self, noted: Path | None) -> int:
        """Announce this site; return the number under which the server knows it.

        After a crash the server takes the site for connected, up to a minute, and refuses it:
        then the site first goes, under the number that it noted. Without ``noted`` it registers
        itself.

        Raises:
            ConnectionRefused: if it is not admitted.
        """
        public = self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        request = ActivateNodeRequest(
            public_key=public, heartbeat_interval=HEARTBEAT_DEFAULT_INTERVAL
        )
        if noted is None:
            self.RegisterNode(RegisterNodeFleetRequest(public_key=public))
            return int(self.ActivateNode(request).node_id)
        try:
            node_id = int(self.ActivateNode(request).node_id)
        except ConnectionRefused:
            if not noted.exists():
                raise
            # As a site that went and came: what it was told before is lost, and asked anew.
            node_id = int(noted.read_text())
            self.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
            self.ActivateNode(request)
        with suppress(OSError):
            noted.write_text(str(node_id))
            self._presence = noted.open("rb")
            fcntl.flock(self._presence, fcntl.LOCK_SH)
        return node_id

    def check_access(self, noted: Path) -> None:
        """Find out whether this site is admitted, without disturbing a link that is connected.

        Raises:
            ConnectionRefused: if it is not.
        """
        if _is_announced(noted):  # a heartbeat more is what no one notices
            self.SendNodeHeartbeat(_heartbeat(int(noted.read_text())))
            return
        self.leave(self.activate(noted), registered_itself=False)

    def heartbeat(self, node_id: int) -> bool:
        """Send a heartbeat to the server; False if it was not received."""
        try:
            return bool(self.SendNodeHeartbeat(_heartbeat(node_id)).success)
        except ConnectionRefused:
            return False

    def no_retries(self) -> None:
        """Try each call once from now on."""
        self._retry.max_tries = 1

    def leave(self, node_id: int, registered_itself: bool) -> None:
        """Sign off at the server, if it can be reached."""
        with suppress(ConnectionRefused):
            self.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
            if registered_itself:
                self.UnregisterNode(UnregisterNodeFleetRequest(node_id=node_id))

    def _unary_unary(self, *, path: str, **rest: Any) -> Any:  # noqa: ANN401  # Flower's
        try:
            return super()._unary_unary(path=path, **rest)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.FORBIDDEN:
                raise RunNotRunningException from None
            if error.response.status_code in BEHIND:
                raise ConnectionRefused(out_of_reach(self._address, error)) from None
            if error.response.status_code == httpx.codes.PRECONDITION_FAILED and path == _ENTRANCE:
                raise NotRegistered(
                    "this site's key is not registered at the server: send this line to the "
                    f"coordinator\n    {line(self._key)}"
                ) from None
            raise ConnectionRefused(self._refusal(path, error.response)) from None
        except httpx.HTTPError as error:
            raise ConnectionRefused(out_of_reach(self._address, error)) from None

    def _refusal(self, path: str, response: httpx.Response) -> str:
        if response.status_code == httpx.codes.UNAUTHORIZED:
            if abs(skew := clock_skew(response)) > SKEW:
                return f"this machine's clock is {skew:+.0f} s off the server's: set it right"
            return (
                "this site's key is no longer registered at the server; if it stays so and the "
                "coordinator did not mean that, make a new key and send its public half"
            )
        return (
            f"{self._address} answers {path} with {response.status_code}: is it the federation's "
            "server, and does nothing between it and this site change what is sent?"
        )


def note(private_key: Path) -> Path:
    """Return where a site notes, beside its key, under which number the server knows it."""
    return private_key.with_suffix(".node")


def _is_announced(noted: Path) -> bool:
    """Return whether a link of this site is at work: it holds a lock on what it noted."""
    try:
        with noted.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _heartbeat(node_id: int) -> SendNodeHeartbeatRequest:
    interval = HEARTBEAT_DEFAULT_INTERVAL
    return SendNodeHeartbeatRequest(node=Node(node_id=node_id), heartbeat_interval=interval)


def clock_skew(response: httpx.Response) -> float:
    """Return how many seconds this machine's clock is ahead of the server's, 0 if unknown."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"])
    except (KeyError, ValueError):
        return 0.0
    return (datetime.now(UTC) - theirs).total_seconds()


def _retry(address: str, patience: float | None) -> RetryInvoker:
    """Return what calls again while the server, or the way to it, is down."""

    def is_final(error: Exception) -> bool:
        if isinstance(error, httpx.HTTPStatusError):
            return error.response.status_code not in BEHIND
        if (status := proxy_status(error)) is not None:
            return status not in BEHIND
        return "CERTIFICATE" in str(error)

    def tell(state: Any) -> None:  # noqa: ANN401  # Flower's
        if state.tries.bit_count() == 1:  # the first, second, fourth, eighth …
            log.warning("%s", out_of_reach(address, state.exception))

    return RetryInvoker(
        lambda: exponential(max_delay=_LONGEST_PAUSE),
        httpx.HTTPError,
        max_tries=None,
        max_time=patience,
        should_giveup=is_final,
        on_backoff=tell,
    )
