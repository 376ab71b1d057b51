"""Flower's grid, as its ServerApp sees it, with nobody or one site behind it."""

import time

from fakes.update import left
from flwr.proto.node_pb2 import NodeInfo

from federator.runtime.link.gateway import Folder
from federator.runtime.link.transfer import PartTransfer
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import SETS
from federator.runtime.protocol.outcomes import Outcome


class Silent:
    """A grid with a node; keeps what is sent, and says nothing until that has lapsed.

    What is sent together with something for a node of ``refused`` is too large for it.
    """

    refused = frozenset()

    def __init__(self) -> None:
        self.sent, self.together = [], []

    def get_nodes(self):
        return [NodeInfo(node_id=42, name="north")]

    def push_messages(self, messages):
        self.sent += messages
        self.together.append(len(messages))
        to = [message.metadata.dst_node_id for message in messages]
        return [] if self.refused & set(to) else [f"to {node}" for node in to]

    def pull_messages(self, _):
        now = time.time()
        lapsed = [m for m in self.sent if m.metadata.created_at + m.metadata.ttl < now]
        assert not lapsed, "Flower answers for a site that is late: nobody is told so"
        return []


class Trained(Silent):
    """A grid with a site that hands in an update as files."""

    def __init__(self, store, update):
        super().__init__()
        self.store, self.update = store, update

    def pull_messages(self, _):
        (order,) = self.sent
        manifest = messages.Received.of(order).manifest
        way = PartTransfer(Folder(self.store.folder))
        table = way.send(manifest, left(self.update), time.time() + 60)
        said = replies.site_record("north", True, table, 0, 0)
        order.metadata.__dict__["_message_id"] = "to 42"
        outcome = Outcome(dict.fromkeys(SETS, 3))
        return [replies.outcome_reply(order, said, outcome)]
