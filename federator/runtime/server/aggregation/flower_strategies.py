"""Strategies that do not aggregate block by block: run by Flower's own ``Strategy.start``.

Flower's run here, the author's in a process of their own (own_strategy.py). They get the model's
parameters; its buffers are averaged beside them (split_model.py). They hold every update in memory
at once, take two messages a round, and keep their server state to themselves: a resumed run begins
with a new state. The log says so.
"""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence

from federator.errors import RunError
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL
from federator.runtime.protocol.train_settings import with_settings
from federator.runtime.server.aggregation.geometry import measure
from federator.runtime.server.aggregation.inspection import Inspection, inspect
from federator.runtime.server.aggregation.own_strategy import OwnStrategy
from federator.runtime.server.aggregation.split_model import SplitModel
from federator.runtime.server.exchange import Answer, sites_in, updates_in
from federator.runtime.server.packing import Order
from federator.runtime.server.session import Session
from federator.runtime.server.storage.checkpoints import Checkpoint
from federator.runtime.strategy import grid
from federator.runtime.strategy.grid import Kind, Reply, Request
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.format import Weights, WeightsError

log = logging.getLogger("federator")


def run_strategy(session: Session, start: Checkpoint) -> Checkpoint:
    """Run the planned rounds with any strategy; checkpoint each.

    Raises:
        RunError: if too few sites deliver, the author's code breaks down, or the strategy makes
            something else than the model.
    """
    log.warning(
        "%s runs by Flower's own Strategy.start: every update (%d bytes each) is held in memory, "
        "and its server state is not kept in checkpoints",
        session.strategy_name,
        start.weights.numbers,
    )
    sites = SessionSites(session, start)
    rounds, timeout = session.plan.rounds, session.settings.round_deadline
    if isinstance(session.strategy, OwnStrategy):
        session.strategy.run(sites, sites.model, start.weights, rounds, timeout)
    else:
        parameters = sites.model.parameters_of(start.weights)
        grid.run(session.strategy, sites, parameters, rounds, timeout)
    if sites.kept != rounds:
        raise RunError(f"{session.strategy_name} ended after {sites.kept} of {rounds} rounds")
    return session.folder.load(start.round + rounds)


class SessionSites:
    """The sites that joined a session, as a strategy reaches them, with this server's deadlines.

    Attributes:
        model: the global model, of which the strategy makes the parameters.
        kept: the last round of which the model was kept, counted from 0; -1 before.
    """

    def __init__(self, session: Session, start: Checkpoint) -> None:
        self._session, self._start = session, start
        self._round = start.round + 1  # the one that is going on
        self.kept = -1
        self._validated, self._told = set[int](), set[str]()
        self.model = SplitModel(start.weights, session.buffers)

    def keep(self, number: int, parameters: Weights) -> None:
        """Keep the model of a round, and have all sites validate it if they have not.

        Args:
            number: the round's, counted from 0, the model that this start began with.
            parameters: the model's.

        Raises:
            RunError: if they are not the model's, or it is another round's turn.
        """
        if number != self.kept + 1 or number > self._session.plan.rounds:
            raise RunError(f"{self._session.strategy_name} ends round {number} out of turn")
        self.kept = number
        checkpoint, last = self._start, number == self._session.plan.rounds
        if number > 0:
            weights = self._whole(parameters)
            checkpoint = self._session.folder.save(self._start.round + number, weights)
            if self._session.plan.personal:
                self._session.test(PERSONAL, checkpoint, ("val",))
        if not (last or checkpoint.round in self._validated):  # the last is tested by the server
            self._session.test(FEDERATION, checkpoint, ("val",))
        self._round = checkpoint.round + 1

    def nodes(self) -> list[int]:
        """Return the nodes of the sites that joined, with those that have come meanwhile.

        Raises:
            RunError: if there are fewer than the strategy waits for: it would wait for ever.
        """
        strategy = self._session.strategy
        wanted = max(int(getattr(strategy, name, 0)) for name in grid.LEAST_SITES)
        self._session.attendance.welcome(f"round {self._round}", wanted)
        return sorted(self._session.sites.nodes.values())

    def ask(self, kind: Kind, requests: Sequence[Request]) -> list[Reply]:
        """Turn a strategy's requests into orders, and answers into what it is told.

        Raises:
            RunError: if fewer sites than the quorum deliver an update, or there is no such site.
        """
        sites = {node: site for site, node in self._session.sites.nodes.items()}
        if unknown := {request.node for request in requests} - sites.keys():
            raise RunError(f"{self._session.strategy_name} asks node {min(unknown)}: no such site")
        by_site = {sites[request.node]: request for request in requests}
        answers = self._validate(by_site) if kind == "evaluate" else self._train(by_site)
        tell = self._evaluated if kind == "evaluate" else self._trained
        told = (tell(by_site[site].node, each) for site, each in answers.items() if site in by_site)
        return [reply for reply in told if reply is not None]

    def _train(self, by_site: Mapping[str, Request]) -> dict[str, Answer]:
        """Have sites train, and average their buffers."""
        started = self._session.clock()
        orders = self._orders("train", by_site)
        answers = self._session.deliver(self._round, orders)
        self._session.record.write_round(
            FEDERATION,
            self._round,
            answers,
            self._session.clock() - started,
            self._inspected(orders, answers),
        )
        self.model.average(*updates_in(answers))
        return answers

    def _inspected(
        self, orders: Mapping[str, Order], answers: Mapping[str, Answer]
    ) -> Inspection | None:
        """Describe the updates, where all sites started from one model."""
        models = {id(order.weights): order.weights for order in orders.values()}
        (before, *others), updates = models.values(), updates_in(answers)[0]
        if others or before is None:
            return None
        return inspect(sites_in(answers), measure(before, updates, self._session.buffers))

    def _validate(self, by_site: Mapping[str, Request]) -> dict[str, Answer]:
        """Have sites validate a model: where it is one for all, those that were not asked, too."""
        orders = self._orders("evaluate", by_site)
        if len({id(order.weights) for order in orders.values()}) == 1:
            orders = dict.fromkeys(self._session.sites.nodes, next(iter(orders.values())))
        answers = self._session.ask(orders)
        self._session.record.write_evaluation("validation", FEDERATION, self._round, answers, "val")
        self._validated.add(self._round)
        return answers

    def _orders(self, kind: Kind, by_site: Mapping[str, Request]) -> dict[str, Order]:
        """Return the orders that say what a strategy's requests do."""
        deadline = time.time() + self._session.settings.round_deadline
        if kind == "train":  # what was measured is how long training takes
            deadline = self._session.training_deadline()
        sets = ("val",) if kind == "evaluate" else ()
        # Tested as it is then trained, so that it travels once.
        encoding, orders = self._session.settings.encoding, dict[str, Order]()
        kept: dict[int, WeightFile] = {}
        for site, request in by_site.items():
            model = id(request.parameters)
            if model not in kept:
                kept[model] = self._session.sites.store.keep(self._whole(request.parameters))
            instruction = self._session.instruction(
                kind, self._round, deadline, FEDERATION, sets, encoding
            )
            if kind == "train":
                instruction, left = with_settings(instruction, request.config)
                self._tell(left)
            orders[site] = Order(instruction, kept[model])
        return orders

    def _tell(self, left: Iterable[str]) -> None:
        """Log, once, which entries of the strategy's do not reach ``train``."""
        for name in sorted(set(left) - self._told):
            log.warning("%s: not handed to train: it is no plain number, string or bool", name)
            self._told.add(name)

    def _whole(self, parameters: Weights) -> Weights:
        try:
            return self.model.whole(parameters)
        except WeightsError as error:
            who = self._session.strategy_name
            raise RunError(f"{who} made something else than the model: {error}") from None

    def _trained(self, node: int, answer: Answer) -> Reply | None:
        """Return what a strategy is told of an update; nothing where there is none."""
        if answer.outcome is None or answer.weights is None:
            return None
        numbers: dict[str, float] = {"num-examples": answer.outcome.examples["trainset"]}
        evaluation = answer.outcome.evaluations.get("train")
        if evaluation is not None and evaluation.loss is not None:
            numbers["train_loss"] = evaluation.loss
        return Reply(node, numbers, self.model.parameters_of(answer.weights))

    def _evaluated(self, node: int, answer: Answer) -> Reply | None:
        """Return what a strategy is told of a validation; nothing where there is no loss."""
        evaluation = answer.outcome.evaluations.get("val") if answer.outcome else None
        if evaluation is None or evaluation.loss is None:
            return None
        numbers: dict[str, float] = {"num-examples": evaluation.examples, "loss": evaluation.loss}
        if self._session.plan.settings.task.name == "classification":
            counts = evaluation.tables.get("confusion", [])
            right = sum(row[k] for k, row in enumerate(counts))
            numbers["accuracy"] = right / (sum(map(sum, counts)) or 1)
        return Reply(node, numbers, None)
