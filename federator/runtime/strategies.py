"""Strategies that do not fold block by block: run by Flower's own ``Strategy.start``.

They hold every update in memory at once, take two messages a round, and keep their server state
to themselves: a resumed run starts it anew. The log says so.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.serverapp.strategy import (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
    Strategy,
)
from flwr.supercore.run import Run

from federator.errors import RunError
from federator.runtime import metrics
from federator.runtime.checkpoints import Checkpoint
from federator.runtime.exchange import Answer, Order
from federator.runtime.instructions import FEDERATION
from federator.runtime.outcomes import Outcome
from federator.runtime.weightfile import WeightFile
from federator.runtime.weights import Tensor, Weights

if TYPE_CHECKING:
    from federator.runtime.rounds import Server

log = logging.getLogger("federator")

_CLIPPED_AT_SITES = (
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
)


def run_strategy(server: "Server", strategy: Strategy, start: Checkpoint) -> Checkpoint:
    """Run the planned rounds with any strategy; checkpoint each.

    Raises:
        RunError: if too few sites deliver, or the strategy would not do here what it promises.
    """
    if isinstance(strategy, _CLIPPED_AT_SITES):
        name = type(strategy).__name__
        raise RunError(f"{name} needs sites that clip, which these do not: it protects nobody")
    log.warning(
        "%s runs by Flower's own Strategy.start: every update (%d bytes each) is held in memory, "
        "and its server state is not kept in checkpoints",
        type(strategy).__name__,
        start.weights.numbers,
    )
    grid = StrategyGrid(server, start)

    def keep(number: int, arrays: ArrayRecord) -> None:
        if number > 0:
            weights = restore(from_arrays(arrays), start.weights.tensors)
            server.folder.save(start.round + number, weights)

    strategy.start(
        grid,
        to_arrays(start.weights.load()),
        server.plan.rounds,
        timeout=server.settings.round_deadline,
        evaluate_fn=keep,
    )
    return server.folder.load(start.round + server.plan.rounds)


def to_arrays(weights: Weights) -> ArrayRecord:
    """Return weights as Flower's strategies know them: an array per tensor."""
    return ArrayRecord({name: Array(np.asarray(a, order="C")) for name, a in weights.items()})


def from_arrays(record: ArrayRecord) -> Weights:
    """Return the weights in a strategy's record."""
    return {name: array.numpy() for name, array in record.items()}


def restore(weights: Weights, like: Mapping[str, Tensor]) -> Weights:
    """Give tensors back the types of the model: Flower's average makes floats of integers."""
    return {
        name: (array if like[name].is_float else np.rint(array)).astype(like[name].dtype)
        for name, array in weights.items()
    }


class StrategyGrid(Grid):
    """The grid that a strategy sees: the sites that joined, with this server's deadlines."""

    def __init__(self, server: "Server", start: Checkpoint) -> None:
        self._server, self._start = server, start

    def set_run(self, run: Run) -> None:
        """Do nothing: the run is the server's."""

    @property
    def run(self) -> Run:
        """Not for strategies."""
        raise NotImplementedError

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Return a message; Flower's own name for its constructor."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """Return the nodes of the sites that joined, with those that have come meanwhile.

        Raises:
            RunError: if there are fewer than the strategy waits for: it would wait for ever.
        """
        self._server.welcome()
        nodes = sorted(self._server.conversation.nodes.values())
        strategy = self._server.strategy
        wanted = max(
            int(getattr(strategy, name, 0))
            for name in ("min_available_nodes", "min_train_nodes", "min_evaluate_nodes")
        )
        if len(nodes) < max(wanted, self._server.settings.quorum):
            raise RunError(f"the strategy needs {wanted} sites, {len(nodes)} are connected")
        return nodes

    def get_nodes(self) -> Iterable[NodeInfo]:
        """Return the nodes of the sites that joined."""
        return [NodeInfo(node_id=node) for node in self.get_node_ids()]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Not for strategies: they send and receive in one."""
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Not for strategies: they send and receive in one."""
        raise NotImplementedError

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """Turn a strategy's messages into orders, and answers into the replies it expects.

        Raises:
            RunError: if fewer sites than the quorum deliver an update.
        """
        del timeout  # the server's own deadline holds
        started = time.monotonic()
        sites = {node: site for site, node in self._server.conversation.nodes.items()}
        by_site = {sites[message.metadata.dst_node_id]: message for message in messages}
        if not by_site:
            return []
        deadline = time.time() + self._server.settings.round_deadline
        kind = next(iter(by_site.values())).metadata.message_type
        kept: dict[int, WeightFile] = {}
        orders = {site: self._order(kind, m, deadline, kept) for site, m in by_site.items()}
        number = next(iter(orders.values())).instruction.round
        if kind == "evaluate":
            answers = self._server.ask(orders, deadline)
            self._server.record.write_evaluation("validation", FEDERATION, number, answers, "val")
        else:
            answers = self._server.deliver(number, orders, deadline)
            taken = time.monotonic() - started
            self._server.record.write_round(FEDERATION, number, answers, taken)
        return [
            Message(_content(answer), reply_to=by_site[site])
            for site, answer in answers.items()
            if answer.outcome is not None
        ]

    def _order(
        self, kind: str, message: Message, deadline: float, kept: dict[int, WeightFile]
    ) -> Order:
        config = next(iter(message.content.config_records.values()))
        number = self._start.round + int(str(config["server-round"]))
        sets = ("val",) if kind == "evaluate" else ()
        # Tested as it is then trained, so that it travels once.
        encoding = self._server.settings.encoding
        instruction = self._server.instruction(kind, number, deadline, FEDERATION, sets, encoding)
        arrays = next(iter(message.content.array_records.values()))
        if id(arrays) not in kept:
            weights = restore(from_arrays(arrays), self._start.weights.tensors)
            kept[id(arrays)] = self._server.conversation.store.keep(weights)
        return Order(instruction, kept[id(arrays)])


def _content(answer: Answer) -> RecordDict:
    outcome: Outcome | None = answer.outcome
    assert outcome is not None
    if answer.weights is not None:
        numbers = MetricRecord({"num-examples": outcome.examples["trainset"]})
        if "train" in outcome.evaluations:
            numbers["train_loss"] = outcome.evaluations["train"].loss
        return RecordDict({"arrays": to_arrays(answer.weights.load()), "metrics": numbers})
    evaluation = outcome.evaluations["val"]
    accuracy = metrics.summarise(evaluation.counts).accuracy or 0.0
    return RecordDict({
        "metrics": MetricRecord({
            "num-examples": evaluation.examples, "loss": evaluation.loss, "accuracy": accuracy,
        })
    })  # fmt: skip
