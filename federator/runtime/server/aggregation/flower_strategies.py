"""Strategies that do not aggregate block by block: run by Flower's own ``Strategy.start``.

They get the model's parameters; its buffers are averaged beside them (split_model.py). They hold
every update in memory at once, take two messages a round, and keep their server state to
themselves: a resumed run begins with a new state. The log says so.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Literal

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run

from federator.errors import RunError
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL
from federator.runtime.protocol.train_settings import with_settings
from federator.runtime.server.aggregation.split_model import SplitModel
from federator.runtime.server.exchange import Answer, updates_in
from federator.runtime.server.packing import Order
from federator.runtime.server.session import Session
from federator.runtime.server.storage.checkpoints import Checkpoint
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import Weights, WeightsError

log = logging.getLogger("federator")


def run_strategy(session: Session, start: Checkpoint) -> Checkpoint:
    """Run the planned rounds with any strategy; checkpoint each.

    Raises:
        RunError: if too few sites deliver, or the strategy makes something else than the model.
    """
    log.warning(
        "%s runs by Flower's own Strategy.start: every update (%d bytes each) is held in memory, "
        "and its server state is not kept in checkpoints",
        type(session.strategy).__name__,
        start.weights.numbers,
    )
    grid = StrategyGrid(session, start)
    session.strategy.start(
        grid,
        grid.model.parameters(start.weights),
        session.plan.rounds,
        timeout=session.settings.round_deadline,
        evaluate_fn=grid.keep,
    )
    return session.folder.load(start.round + session.plan.rounds)


class StrategyGrid(Grid):
    """The grid that a strategy sees: the sites that joined, with this server's deadlines."""

    def __init__(self, session: Session, start: Checkpoint) -> None:
        self._session, self._start = session, start
        self._round = start.round + 1  # the one that is going on
        self._validated, self._told = set[int](), set[str]()
        self.model = SplitModel(start.weights, session.buffers)

    def keep(self, number: int, arrays: ArrayRecord) -> None:
        """Keep the model of a round, and have all sites validate it if they have not.

        Args:
            number: the round's, counted from 0, the model that this start began with.
            arrays: the model's parameters.

        Raises:
            RunError: if they are not the model's.
        """
        checkpoint, last = self._start, number == self._session.plan.rounds
        if number > 0:
            weights = self._whole(arrays)
            checkpoint = self._session.folder.save(self._start.round + number, weights)
            if self._session.plan.personal:
                self._session.test(PERSONAL, checkpoint, ("val",))
        if not (last or checkpoint.round in self._validated):  # the last is tested by the server
            self._session.test(FEDERATION, checkpoint, ("val",))
        self._round = checkpoint.round + 1

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
        self._session.welcome()
        nodes = sorted(self._session.sites.nodes.values())
        strategy = self._session.strategy
        wanted = max(
            int(getattr(strategy, name, 0))
            for name in ("min_available_nodes", "min_train_nodes", "min_evaluate_nodes")
        )
        if len(nodes) < max(wanted, self._session.settings.quorum):
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
        sites = {node: site for site, node in self._session.sites.nodes.items()}
        by_site = {sites[message.metadata.dst_node_id]: message for message in messages}
        if not by_site:
            return []
        evaluate = next(iter(by_site.values())).metadata.message_type == "evaluate"
        answers = self._validate(by_site) if evaluate else self._train(by_site)
        contents = {
            site: self._evaluated(answer) if evaluate else self._trained(answer)
            for site, answer in answers.items()
            if site in by_site
        }
        return [
            Message(content, reply_to=by_site[site])
            for site, content in contents.items()
            if content is not None
        ]

    def _train(self, by_site: Mapping[str, Message]) -> dict[str, Answer]:
        """Have sites train, and average their buffers."""
        started = time.monotonic()
        answers = self._session.deliver(self._round, self._orders("train", by_site))
        self._session.record.write_round(
            FEDERATION, self._round, answers, time.monotonic() - started
        )
        self.model.average(*updates_in(answers))
        return answers

    def _validate(self, by_site: Mapping[str, Message]) -> dict[str, Answer]:
        """Have sites validate a model: where it is one for all, those that were not asked, too."""
        orders = self._orders("evaluate", by_site)
        if len({id(order.weights) for order in orders.values()}) == 1:
            orders = dict.fromkeys(self._session.sites.nodes, next(iter(orders.values())))
        answers = self._session.ask(orders)
        self._session.record.write_evaluation("validation", FEDERATION, self._round, answers, "val")
        self._validated.add(self._round)
        return answers

    def _orders(
        self, kind: Literal["train", "evaluate"], by_site: Mapping[str, Message]
    ) -> dict[str, Order]:
        """Return the orders that say what a strategy's messages do."""
        deadline = time.time() + self._session.settings.round_deadline
        sets = ("val",) if kind == "evaluate" else ()
        # Tested as it is then trained, so that it travels once.
        encoding, orders = self._session.settings.encoding, dict[str, Order]()
        kept: dict[int, WeightFile] = {}
        for site, message in by_site.items():
            arrays = next(iter(message.content.array_records.values()))
            if id(arrays) not in kept:
                kept[id(arrays)] = self._session.sites.store.keep(self._whole(arrays))
            instruction = self._session.instruction(
                kind, self._round, deadline, FEDERATION, sets, encoding
            )
            if kind == "train":
                config = next(iter(message.content.config_records.values()), ConfigRecord())
                instruction, left = with_settings(instruction, config)
                self._tell(left)
            orders[site] = Order(instruction, kept[id(arrays)])
        return orders

    def _tell(self, left: Iterable[str]) -> None:
        """Log, once, which entries of the strategy's do not reach ``train``."""
        for name in sorted(set(left) - self._told):
            log.warning("%s: not handed to train: it is no plain number, string or bool", name)
            self._told.add(name)

    def _whole(self, arrays: ArrayRecord) -> Weights:
        try:
            return self.model.whole(arrays)
        except WeightsError as error:
            who = type(self._session.strategy).__name__
            raise RunError(f"{who} made something else than the model: {error}") from None

    def _trained(self, answer: Answer) -> RecordDict | None:
        """Return what a strategy is told of an update; nothing where there is none."""
        if answer.outcome is None or answer.weights is None:
            return None
        numbers = MetricRecord({"num-examples": answer.outcome.examples["trainset"]})
        if (evaluation := answer.outcome.evaluations.get("train")) is not None:
            numbers["train_loss"] = evaluation.loss
        return RecordDict({"arrays": self.model.parameters(answer.weights), "metrics": numbers})

    def _evaluated(self, answer: Answer) -> RecordDict | None:
        """Return what a strategy is told of a validation; nothing where there is none."""
        evaluation = answer.outcome.evaluations.get("val") if answer.outcome else None
        if evaluation is None:
            return None
        numbers = MetricRecord({"num-examples": evaluation.examples, "loss": evaluation.loss})
        if self._session.plan.settings.task.name == "classification":
            counts = evaluation.tables.get("confusion", [])
            right = sum(row[k] for k, row in enumerate(counts))
            numbers["accuracy"] = right / (sum(map(sum, counts)) or 1)
        return RecordDict({"metrics": numbers})
