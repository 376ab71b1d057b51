"""Flower's grid with sites behind it that answer at once, in this process."""

from collections.abc import Callable

from flwr.proto.node_pb2 import NodeInfo

from federator.runtime import messages
from federator.runtime.conversation import Conversation
from federator.runtime.exchange import Exchange
from federator.runtime.instructions import Instruction
from federator.runtime.outcomes import Failure, Outcome
from federator.runtime.rounds import Plan, Server
from federator.runtime.settings import ServerSettings
from federator.runtime.store import Store
from federator.runtime.weights import Weights

Follow = Callable[[Instruction, Weights | None], tuple[Outcome, Weights | None]]


class Sites:
    """A grid; ``away`` are those of its sites that are not connected.

    Args:
        follow: by site, what it does with an instruction and the weights that come along.
    """

    def __init__(self, follow: dict[str, Follow]) -> None:
        self.follow = follow
        self.away: set[str] = set()
        self.told: list[tuple[str, Instruction]] = []
        self._nodes = {site: number for number, site in enumerate(sorted(follow), 1)}
        self._replies = {}

    def get_nodes(self):
        return [
            NodeInfo(node_id=node, name=site)
            for site, node in self._nodes.items()
            if site not in self.away
        ]

    def push_messages(self, sent):
        ids = []
        for message in sent:
            ids.append(str(len(self.told)))
            message.metadata.__dict__["_message_id"] = ids[-1]
            self._replies[ids[-1]] = self._reply(message)
        return ids

    def pull_messages(self, ids):
        return [self._replies.pop(one) for one in ids if one in self._replies]

    def _reply(self, message):
        (site,) = [s for s, node in self._nodes.items() if node == message.metadata.dst_node_id]
        instruction = Instruction.read(message.content["config"]["instruction"])
        self.told.append((site, instruction))
        try:
            outcome, weights = self.follow[site](instruction, messages.weights_in(message.content))
        except Failure as failure:
            return messages.failure_reply(failure, message, site)
        return messages.outcome_reply(message, messages.site_record(site), outcome, weights)


def serve(grid, folder, strategy, buffers=(), *, rounds=3, select="last", **settings) -> Server:
    """Return a server of these sites, whose run is then to be started."""
    told = ServerSettings(
        "tumours", str(folder.path), **{"sites": tuple(sorted(grid.follow)), **settings}
    )
    store = Store(folder.path / "store")
    conversation = Conversation(grid, Exchange(grid, 7, None, store), True, lambda _: False)
    plan = Plan(rounds, 1, 0, ("benign", "malignant"), "malignant", select)
    return Server(conversation, told, plan, strategy, folder, frozenset(buffers))
