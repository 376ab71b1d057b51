"""Flower's grid with sites behind it that answer at once, in this process."""

from collections.abc import Callable

from flwr.proto.node_pb2 import NodeInfo

from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.server.exchange import Exchange
from federator.runtime.server.plan import Plan
from federator.runtime.server.rounds import Rounds
from federator.runtime.server.session import Session
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.format import Weights
from federator.runtime.weights.local_tensors import LocalTensors

Follow = Callable[[Instruction, Weights | None], tuple[Outcome, Weights | None]]


class SiteGrid:
    """A grid.

    Args:
        follow: by site, what it does with an instruction and the weights that come along.
        away: by round, which sites are not connected once there were instructions of it.
    """

    def __init__(self, follow: dict[str, Follow], away: dict[int, set[str]] | None = None) -> None:
        self.follow, self._away = follow, away or {}
        self.told: list[tuple[str, Instruction]] = []
        self._nodes = {site: number for number, site in enumerate(sorted(follow), 1)}
        self._replies = {}

    def get_nodes(self):
        away = self._away.get(self.told[-1][1].round if self.told else 0, set())
        return [
            NodeInfo(node_id=node, name=site)
            for site, node in self._nodes.items()
            if site not in away
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
            return replies.failure_reply(failure, message, site)
        return replies.outcome_reply(message, replies.site_record(site), outcome, weights)


def serve(
    grid,
    folder,
    strategy,
    buffers=(),
    *,
    rounds=3,
    select="last",
    local=(),
    personal=False,
    signer=None,
    **settings,
) -> Rounds:
    """Return a server of these sites, whose run is then to be started."""
    told = ServerSettings(
        "tumours", str(folder.path), **{"sites": tuple(sorted(grid.follow)), **settings}
    )
    store = Store(folder.path / "store")
    settings = EvaluationSettings(Task("classification", 2), ("benign", "malignant"), 1)
    plan = Plan(rounds, 1, 0, select, settings, LocalTensors(local), personal)
    exchange = Exchange(grid, 7, signer, store, plan.policy)
    sites = Sites(grid, exchange, True, lambda _: False)
    return Rounds(Session(sites, told, plan, strategy, folder, frozenset(buffers)))
