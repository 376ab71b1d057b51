"""A site's connection to the SuperLink by Flower's Fleet API, without a SuperNode.

With admission.py and flower.py, this touches what Flower does not promise to keep (flwr 1.42.0).
"""

import functools
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    pull_and_inflate_object_from_tree,
    push_objects,
)
from flwr.supercore.run import RunNotRunningException

from federator.errors import InputError
from federator.runtime.app_config import Setting
from federator.runtime.flower import FIRST_WAIT, LONGEST_WAIT
from federator.runtime.keys.site_key import read_private
from federator.runtime.link.admission import Client, ConnectionRefused, note

_LONGEST = 7200.0  # seconds for what a message carries, unless that lapses before; Flower's own
_PAUSES = (0.5, 2.0, 5.0, 10.0)  # seconds between the tries to send a reply

log = logging.getLogger("federator")


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
            initial_backoff=FIRST_WAIT,
            backoff_cap=LONGEST_WAIT,
        )
        message.metadata.__dict__["_message_id"] = tree.object_id
        return message

    def heartbeat(self) -> None:
        """Send a heartbeat now, not only in half a minute."""
        self._client.heartbeat(self.node_id)

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
def connect(
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
        ConnectionRefused: if the connection cannot be made, or the site is no longer admitted.
        InputError: if the key cannot be read, or an insecure connection would leave this machine.
    """
    if insecure and address.rpartition(":")[0] not in ("127.0.0.1", "localhost", "[::1]"):
        raise InputError(f"{address}: a connection that leaves this machine must be encrypted")
    key = read_private(private_key) if private_key else ec.generate_private_key(ec.SECP384R1())
    with Client.connect(address, root_certificates, key, patience, insecure) as client:
        node_id = client.activate(note(private_key) if private_key else None)
        heart = HeartbeatSender(functools.partial(client.heartbeat, node_id))
        heart.start()
        try:
            yield Fleet(client, node_id)
        finally:
            client.no_retries()
            heart.stop()
            client.leave(node_id, registered_itself=private_key is None)
