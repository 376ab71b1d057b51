"""What a run can ask of the sites: to train, to test. The loop over rounds: rounds.py."""

import time
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Literal

from flwr.serverapp.strategy import FedAvg, QFedAvg, Strategy

from federator.errors import RunError
from federator.runtime.chain.lines import head
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL, Instruction
from federator.runtime.server.aggregation.blockwise import moments
from federator.runtime.server.aggregation.own_strategy import OwnStrategy, name_of
from federator.runtime.server.exchange import Answer, updates_in
from federator.runtime.server.journal import FILE, Round, events
from federator.runtime.server.packing import Order, size_of
from federator.runtime.server.plan import Plan
from federator.runtime.server.recorder import Recorder
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.storage.disk import require_space
from federator.runtime.server.survey.surveys import Surveys
from federator.runtime.server.waits.attendance import Attendance
from federator.runtime.server.waits.pauses import PASSING, Shortage
from federator.runtime.server.waits.waiting import patience
from federator.runtime.weights.buffers import Buffers
from federator.runtime.weights.encoding import EXACT


class Session:
    """One run of a federation: its sites, its settings, and where its results go.

    Args:
        sites: the federation's, as they are connected.
        settings: the server's own.
        plan: the run's.
        strategy: one of Flower's, or the author's, which runs in another process.
        folder: where results go.
        buffers: names of the model's tensors that are no parameters.
    """

    def __init__(
        self,
        sites: Sites,
        settings: ServerSettings,
        plan: Plan,
        strategy: Strategy | OwnStrategy,
        folder: RunFolder,
        buffers: Buffers,
    ) -> None:
        self.sites, self.settings, self.plan = sites, settings, plan
        self.strategy, self.folder, self.buffers = strategy, folder, buffers
        self.record = Recorder(folder.path, settings.source_map, plan.settings.metrics)
        quorum = settings.quorum
        if not settings.sites and isinstance(strategy, FedAvg):
            quorum = strategy.min_available_nodes
        surveys = Surveys(folder.path, plan.settings)
        self.attendance = Attendance(
            sites, settings, folder, self.record, surveys, self._greeting, quorum
        )
        self.pauses = self.attendance.pauses

    @property
    def strategy_name(self) -> str:
        """The name of the strategy's class."""
        return name_of(self.strategy)

    def clock(self) -> float:
        """Return the seconds of a clock (``monotonic``) that stands still in pauses."""
        return time.monotonic() - self.pauses.seconds

    # -- training and testing ---------------------------------------------------------------

    def training_deadline(self) -> float:
        """Return until when (epoch seconds) a round's updates are waited for, if it begins now."""
        most, times = self.settings.round_deadline, self.settings.measured
        rounds = () if times is None else events(self.folder.path, Round)
        return time.time() + patience(rounds, most, times)

    def ask(self, orders: Mapping[str, Order]) -> dict[str, Answer]:
        """Give sites their orders; write down what they warn of, and return their answers."""
        deadline = max((order.instruction.expires for order in orders.values()), default=0.0)
        answers = self.sites.ask(orders, deadline, self.attendance.hear)
        self.record.write_receipts(answers.values())
        self.record.write_privacy(answers.values())
        self.record.warn(answers)
        return answers

    def deliver(self, number: int, orders: Mapping[str, Order]) -> dict[str, Answer]:
        """Have sites train, or only validate; return all answers if enough updates came.

        Raises:
            RunError: if fewer than the quorum did, with each site's reason, or none has an example.
        """
        self.require_space_for(orders)
        trains = {site for site, order in orders.items() if order.instruction.kind == "train"}
        answers = self._ask_until_enough(f"round {number}", orders, trains)
        trained = {site: answer for site, answer in answers.items() if site in trains}
        try:
            self._require_updates(number, trained)
        except RunError:
            self.record.write_round(FEDERATION, number, trained, 0.0)
            raise
        return answers

    def _ask_until_enough(
        self, step: str, orders: Mapping[str, Order], counted: Collection[str]
    ) -> dict[str, Answer]:
        """Give sites their orders; those that were away get theirs again, after a pause.

        Args:
            step: what is done, such as ``round 7``.
            orders: by site.
            counted: of which sites the quorum has to answer.
        """
        answers, needed = self.ask(orders), min(self.settings.quorum, len(counted))
        while True:
            failed = {s: f for s in counted if (f := answers[s].failure) is not None}
            away = {site for site, failure in failed.items() if failure.reason in PASSING}
            lacking = needed - len(counted) + len(failed)
            if not 0 < lacking <= len(away):
                return answers
            for site in away & self.sites.nodes.keys():
                self.sites.forget(site)  # it joins again when its worker is there
            told = {site: self.record.explain(failed[site]) for site in sorted(away)}
            shortage = Shortage(self.sites.nodes.keys(), lacking, frozenset(away), told.copy)
            if not self.pauses.wait(step, shortage):
                return answers
            again = {site: self._renewed(orders[site]) for site in away & self.sites.nodes.keys()}
            answers |= self.ask(again)

    def _renewed(self, order: Order) -> Order:
        """Return an order that is given again, with as much time to answer."""
        trains = order.instruction.kind == "train"
        expires = time.time() + self.settings.round_deadline
        told = replace(
            order.instruction,
            expires=self.training_deadline() if trains else expires,
            journal=head(self.folder.path / FILE),
        )
        return replace(order, instruction=told)

    def _require_updates(self, number: int, trained: Mapping[str, Answer]) -> None:
        delivered = sum(answer.failure is None for answer in trained.values())
        needed = max(1, min(self.settings.quorum, len(trained)))
        if delivered < needed:
            reasons = "; ".join(
                f"{site}: {self.record.explain(answer.failure)}"
                for site, answer in trained.items()
                if answer.failure is not None
            )
            raise RunError(
                f"round {number}: {delivered} of {len(trained)} sites delivered an update, "
                f"{needed} needed ({reasons}){self.pauses.ended}"
            )
        if not sum(updates_in(trained)[1]):
            raise RunError(f"round {number}: no site has an example in its training set")

    def test(self, model: str, checkpoint: Checkpoint, sets: tuple[str, ...]) -> None:
        """Evaluate a model on the sites' validation or test sets."""
        deadline = time.time() + self.settings.round_deadline
        instruction = self.instruction("evaluate", checkpoint.round, deadline, model, sets)
        order = Order(instruction, None if model == PERSONAL else checkpoint.weights)
        # A model trained at one site alone is whole only there, if some of its tensors stay.
        common = model in (FEDERATION, PERSONAL)
        whole = common or not self.plan.local
        if common:
            step = f"the test of round {checkpoint.round}"
            self.attendance.enough(step, self.settings.quorum)
            orders = dict.fromkeys(self.sites.nodes, order)
            answers = self._ask_until_enough(step, orders, orders)
        else:
            answers = self.ask(dict.fromkeys(self.sites.nodes if whole else [model], order))
        if "val" in sets:
            own = answers if common else {model: answers[model]}
            self.record.write_evaluation("validation", model, checkpoint.round, own, "val")
        if "test" in sets:
            self.record.write_evaluation("test", model, checkpoint.round, answers, "test")

    # -- what is sent -----------------------------------------------------------------------

    def instruction(
        self,
        kind: Literal["join", "train", "evaluate", "reveal"],
        number: int,
        expires: float,
        model: str = FEDERATION,
        sets: tuple[str, ...] = (),
        encoding: str = EXACT,
        masking: str = "",
    ) -> Instruction:
        """Return an instruction of this run; what trains travels in the run's encoding anyway."""
        weighs = isinstance(self.strategy, OwnStrategy) and self.strategy.needs_train_loss
        if kind == "train" and (weighs or isinstance(self.strategy, QFedAvg)):
            sets = (*sets, "train")  # it weighs the sites by this loss
        proximal = model == FEDERATION  # a baseline has no common model to stay close to
        return Instruction(
            kind=kind,
            round=number,
            expires=expires,
            model=model,
            epochs=self.plan.epochs if kind == "train" else 0,
            seed=self.plan.seed,
            sets=sets,
            proximal_mu=float(getattr(self.strategy, "proximal_mu", 0.0)) if proximal else 0.0,
            encoding=self.settings.encoding if kind == "train" else encoding,
            sites=max(1, len(self.sites.nodes or self.settings.sites)),
            survey=kind == "join" and self.settings.survey != "no",
            run=self.folder.path.name,
            journal=head(self.folder.path / FILE),
            masking=masking,
        )

    def _greeting(self, expires: float) -> Order:
        """Return what a site is told that joins."""
        return Order(self.instruction("join", 0, expires))

    def require_space_for(self, orders: Mapping[str, Order]) -> None:
        """Check that what a round sends, receives and keeps fits on disk.

        Raises:
            RunError: if it does not.
        """
        size = size_of(orders.values(), self.settings.encoding)
        kept = size.model * (1 + len(moments(self.strategy)))
        require_space({self.sites.store.folder: size.on_the_way, self.folder.path: kept})
