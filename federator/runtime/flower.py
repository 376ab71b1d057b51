"""What touches Flower's internals at a site (flwr 1.42.0, checked at import).

Three things are not in Flower's public API and are done here: speaking the Fleet API without a
SuperNode, learning a Flower App's hash, and pulling a reply without waiting a whole second for
objects that arrive milliseconds later. The server's side is in control.py.
"""

import functools
import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import flwr
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Message
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto, run_from_proto
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_confirm_message_received_fn_protobuf,
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    inflate_object_from_contents,
    pull_and_inflate_object_from_tree,
    pull_objects,
    push_objects,
)
from flwr.supercore.run import RunNotRunningException

from federator.errors import InputError
from federator.runtime.app_config import Setting
from federator.runtime.app_files import require_listed
from federator.runtime.keys import read_private
from federator.runtime.link.admission import Client, ConnectionRefused, note
from federator.runtime.protocol.replies import NO_MESSAGE

FLWR_VERSION = "1.42.0"
if flwr.__version__ != FLWR_VERSION:
    raise ImportError(
        f"this version of federator speaks flwr {FLWR_VERSION}, but {flwr.__version__} is installed"
    )

# Flower waits a second before it asks again for an object that is announced but not yet there.
_FIRST_WAIT = 0.01
_LONGEST_WAIT = 0.5
_LONGEST = 7200.0  # seconds for what a message carries, unless that lapses before; Flower's own
_patient_pull = functools.partial(
    pull_objects, initial_backoff=_FIRST_WAIT, backoff_cap=_LONGEST_WAIT
)
_PAUSES = (0.5, 2.0, 5.0, 10.0)  # seconds between the tries to send a reply

log = logging.getLogger("federator")


def app_hash(app: Path) -> str:
    """Return the SHA-256 (hex) of a Flower App's folder, as Flower names it (its FAB hash).

    Raises:
        InputError: if an asset is not the one that the app lists, so that the hash is not its own.
    """
    from flwr.cli.build import build_fab_from_disk  # slow to import, and no link needs it

    require_listed(app)
    return hashlib.sha256(build_fab_from_disk(app)).hexdigest()


def left_out(files: Iterable[str]) -> list[str]:
    """Return those of an app's files, by path, that Flower would not take into its bundle."""
    from flwr.cli.build import get_filtered_fab_paths
    from flwr.cli.utils import filter_paths_for_publish

    named = dict.fromkeys(files, b"")
    return sorted(named.keys() - get_filtered_fab_paths(filter_paths_for_publish(named), {}))


def prepare_grid() -> None:
    """Let the server's grid ask soon for what is arriving, and take what is no message for lost.

    Flower's own grid fails as a whole, with all replies that came together, if one of them cannot
    be taken apart; an object that cannot be pulled is the only failure of a single one that it
    knows.
    """
    from flwr.superlink.grid import http_grid  # likewise

    def pull(object_ids: list[str], pull_object_fn: Callable[[str], bytes]) -> dict[str, Message]:
        found, whole = _patient_pull(object_ids, pull_object_fn), object_ids[-1]
        try:
            message = inflate_object_from_contents(whole, found)
            if not isinstance(message, Message):
                raise TypeError
        except Exception:
            raise ObjectPullError(whole, NO_MESSAGE) from None
        return {whole: message}

    def inflate(_: str, found: dict[str, Message]) -> Message:
        (message,) = found.values()
        return message

    for name, changed in (("pull_objects", pull), ("inflate_object_from_contents", inflate)):
        if not hasattr(http_grid, name):
            raise ImportError(f"flwr's grid has no {name}")
        setattr(http_grid, name, changed)


@dataclass(frozen=True)
class Run:
    """What the SuperLink says of a run."""

    run_id: int
    app_hash: str
    overrides: Mapping[str, Setting]


class Unreadable(Exception):
    """A message whose content could not be received, or is none of Flower's.

    Attributes:
        head: the message without its content, as far as that could be read.
    """

    def __init__(self, head: Message | None, why: Exception) -> None:
        super().__init__(f"a message could not be received: {type(why).__name__}")
        self.head = head


class Fleet:
    """A site's connection to the SuperLink: messages in, replies out. Never asks for code."""

    def __init__(self, client: Client, node_id: int) -> None:
        self.node_id = node_id
        self._client, self._node = client, Node(node_id=node_id)
        self._runs: dict[int, Run] = {}

    def receive(self) -> Message | None:
        """Return the next message with its content, or None if there is none.

        Raises:
            Unreadable: if what came is no message; the server does not send it again.
            ConnectionRefused: if the server is out of reach.
        """
        try:
            found = self._client.PullMessages(PullMessagesRequest(node=self._node))
        except RunNotRunningException:
            return None
        if not found.messages_list:
            return None
        head: Message | None = None
        try:
            head = message_from_proto(found.messages_list[0])
            return self._inflated(head, found.message_object_trees[0])
        except RunNotRunningException:
            return None
        except ConnectionRefused:
            raise
        except Exception as error:
            raise Unreadable(head, error) from None

    def _inflated(self, head: Message, tree: ObjectTree) -> Message:
        """Return a message with what it carries; it raises whatever Flower does."""
        client, node, metadata = self._client, self._node, head.metadata
        message: Message = pull_and_inflate_object_from_tree(
            tree,
            make_pull_object_fn_protobuf(client.PullObject, node, metadata.run_id),
            make_confirm_message_received_fn_protobuf(
                client.ConfirmMessageReceived, node, metadata.run_id
            ),
            return_type=Message,
            max_time=max(1.0, min(metadata.created_at + metadata.ttl - time.time(), _LONGEST)),
            initial_backoff=_FIRST_WAIT,
            backoff_cap=_LONGEST_WAIT,
        )
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def beat(self) -> None:
        """Tell the server now, and not only in half a minute, that this site is there."""
        self._client.beat(self.node_id)

    def run(self, run_id: int) -> Run | None:
        """Return what the SuperLink says of a run, asked once per run; None if it has ended."""
        if run_id not in self._runs:
            try:
                answer = self._client.GetRun(GetRunRequest(node=self._node, run_id=run_id))
            except RunNotRunningException:
                return None
            run = run_from_proto(answer.run)
            self._runs[run_id] = Run(run_id, run.fab_hash, dict(run.override_config))
        return self._runs[run_id]

    def reply(self, reply: Message, seconds: float) -> None:
        """Send a reply. A run that has ended meanwhile is no error, nor is a reply that is lost.

        Flower's server forgets what it was about to be sent where a session is replaced or takes
        long: then all of it is sent again, a few times, for as long as somebody waits for it.

        Args:
            reply: what to send.
            seconds: that the answer took.

        Raises:
            ConnectionRefused: if the server is out of reach.
        """
        reply.metadata.__dict__["_message_id"] = reply.object_id
        metadata = reply.metadata
        until = metadata.created_at + metadata.ttl
        for pause in (*_PAUSES, None):
            try:
                self._push(reply, seconds)
                return
            except RunNotRunningException:
                log.info("run %s has ended: reply dropped", metadata.run_id)
                return
            except ConnectionRefused:
                raise
            except Exception as error:
                what = type(error).__name__
            if pause is None or time.time() + pause > until:
                log.error("a reply was lost (%s): the server takes this site for late", what)
                return
            log.warning("a reply was lost (%s): next try in %.1f s", what, pause)
            time.sleep(pause)

    def _push(self, reply: Message, seconds: float) -> None:
        """Send a reply once; it raises whatever Flower does."""
        run_id, client, node = reply.metadata.run_id, self._client, self._node
        with no_object_id_recompute():
            tree = get_object_tree(reply)
            objects = get_all_nested_objects(reply)
            head = remove_content_from_message(reply) if reply.has_content() else reply
            request = PushMessagesRequest(
                node=node,
                messages_list=[message_to_proto(head)],
                message_object_trees=[tree],
                clientapp_runtime_list=[seconds],
            )
            taken = client.PushMessages(request)
            push = make_push_object_fn_protobuf(client.PushObject, node, run_id, taken.session_id)
            push_objects(objects, push, object_ids_to_push=set(taken.objects_to_push))


@contextmanager
def fleet(
    address: str,
    root_certificates: Path | None,
    private_key: Path | None,
    patience: float | None,
    insecure: bool = False,
) -> Iterator[Fleet]:
    """Connect a site to the SuperLink at ``host:port``, through a proxy if HTTPS_PROXY names one.

    Without ``root_certificates`` the system's own are trusted. Without ``private_key`` (OpenSSH,
    EC P-384) the site registers itself under a key of the moment. ``insecure``: without
    encryption, on one machine only. ``patience`` bounds the seconds of retrying when the server
    is out of reach; None for no bound.

    Raises:
        ConnectionRefused: if the connection cannot be made, or the site is no longer let in.
        InputError: if the key cannot be read, or an insecure connection would leave this machine.
    """
    if insecure and address.rpartition(":")[0] not in ("127.0.0.1", "localhost", "[::1]"):
        raise InputError(f"{address}: a connection that leaves this machine must be encrypted")
    key = read_private(private_key) if private_key else ec.generate_private_key(ec.SECP384R1())
    with Client.connect(address, root_certificates, key, patience, insecure) as client:
        node_id = client.enter(note(private_key) if private_key else None)
        heart = HeartbeatSender(functools.partial(client.beat, node_id))
        heart.start()
        try:
            yield Fleet(client, node_id)
        finally:
            client.no_retries()
            heart.stop()
            client.leave(node_id, registered_itself=private_key is None)
