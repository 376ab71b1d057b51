"""What a run can ask of the sites: to join, to train, to test. The loop over rounds: rounds.py."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flwr.serverapp.strategy import FedAvg, QFedAvg, Strategy

from federator.errors import RunError
from federator.runtime.app_config import Setting, local_steps
from federator.runtime.chain.lines import head
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.settings import EvaluationSettings
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL, Instruction
from federator.runtime.server.aggregation.blockwise import moments
from federator.runtime.server.aggregation.own_strategy import OwnStrategy, name_of
from federator.runtime.server.exchange import Answer, updates_in
from federator.runtime.server.journal import FILE, Round, SiteState, events
from federator.runtime.server.packing import Order
from federator.runtime.server.recorder import Recorder
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.storage.disk import require_space
from federator.runtime.server.survey.surveys import Surveys
from federator.runtime.server.waiting import patience
from federator.runtime.weights.buffers import Buffers
from federator.runtime.weights.encoding import EXACT
from federator.runtime.weights.local_tensors import LocalTensors

_RETURNING = 2.0  # seconds that a round waits for a site that has just come back


@dataclass(frozen=True)
class Plan:
    """What the app's configuration asks for, in this run."""

    rounds: int
    epochs: int
    seed: int
    select: str
    settings: EvaluationSettings
    local: LocalTensors = field(default_factory=LocalTensors)
    personal: bool = False  # whether each site keeps a model for itself (Ditto)
    steps: int | None = None  # batches in an epoch; None for those that a site has

    @staticmethod
    def of(config: Mapping[str, Setting]) -> "Plan":
        """Return the plan in a run's configuration."""
        return Plan(
            rounds=int(config["rounds"]),
            epochs=int(config["local-epochs"]),
            seed=int(config["seed"]),
            select=str(config["select"]),
            settings=EvaluationSettings.of(config),
            local=LocalTensors.of(config),
            personal=bool(config.get(PERSONAL)),
            steps=local_steps(config),
        )

    @property
    def policy(self) -> Policy:
        """What sites may say; how small a count may be is for each of them to decide."""
        metrics = frozenset(self.settings.metrics)
        return Policy(self.settings.task, metrics, 0, survey=True, hears_noise=True)


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
        self.surveys = Surveys(folder.path, plan.settings)
        self.record = Recorder(folder.path, settings.source_map, plan.settings.metrics)

    @property
    def strategy_name(self) -> str:
        """The name of the strategy's class."""
        return name_of(self.strategy)

    # -- joining ----------------------------------------------------------------------------

    def join(self) -> None:
        """Wait for the sites of the federation, and write down which joined.

        Raises:
            RunError: if there are fewer than the quorum.
        """
        expected = frozenset(self.settings.sites)
        enough = self.settings.quorum
        if not expected and isinstance(self.strategy, FedAvg):
            enough = self.strategy.min_available_nodes
        deadline = time.time() + self.settings.join_deadline
        order = Order(self.instruction("join", 0, deadline + self.settings.round_deadline))
        spoke = set()
        for answer in self.sites.join(order, expected, enough, deadline):
            spoke.add(answer.site)
            self._hear(answer)
        for site in sorted(expected - spoke):
            self.record.write_missing(site)
        if len(self.sites.nodes) < enough:
            joined = ", ".join(sorted(self.sites.nodes)) or "none"
            raise RunError(
                f"{len(self.sites.nodes)} of {len(expected) or enough} sites joined "
                f"({joined}), {enough} needed: {self._why_not(expected)}"
            )
        self._tell_survey(stop=self.settings.survey == "required")

    def _hear(self, answer: Answer) -> None:
        """Write down what a site says that joins, and keep what it tells of its data."""
        self.record.write_receipts([answer])
        self.record.write_privacy([answer])
        self.record.write_site(answer)
        self.surveys.take(answer)

    def _tell_survey(self, stop: bool = False) -> None:
        """Write down what was found in the data of the sites that have joined since the last time.

        Raises:
            RunError: if something was, and it is to ``stop`` on that.
        """
        found = [] if self.settings.survey == "no" else self.surveys.write()
        if found and stop:
            listed = "\n".join(map(str, found))
            raise RunError(f"stopped before the first round, for `survey: required`:\n{listed}")

    def _why_not(self, expected: frozenset[str]) -> str:
        said = {state.site: str(state.reason) for state in events(self.folder.path, SiteState)}
        missing = sorted((expected or said.keys()) - self.sites.nodes.keys())
        return "; ".join(f"{site}: {said.get(site, 'it did not connect')}" for site in missing)

    def welcome(self) -> None:
        """Let sites that have come meanwhile take part from now on."""
        order = Order(self.instruction("join", 0, time.time() + self.settings.round_deadline))
        expected = frozenset(self.settings.sites)
        for answer in self.sites.welcome(order, expected, _RETURNING):
            self._hear(answer)
        self._tell_survey()

    # -- training and testing ---------------------------------------------------------------

    def training_deadline(self) -> float:
        """Return until when (epoch seconds) a round's updates are waited for, if it begins now."""
        most, times = self.settings.round_deadline, self.settings.measured
        rounds = () if times is None else events(self.folder.path, Round)
        return time.time() + patience(rounds, most, times)

    def ask(self, orders: Mapping[str, Order]) -> dict[str, Answer]:
        """Give sites their orders; write down what they warn of, and return their answers."""
        deadline = max((order.instruction.expires for order in orders.values()), default=0.0)
        answers = self.sites.ask(orders, deadline, self._hear)
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
        answers = self.ask(orders)
        trained = {
            site: answer
            for site, answer in answers.items()
            if orders[site].instruction.kind == "train"
        }
        try:
            self._require_updates(number, trained)
        except RunError:
            self.record.write_round(FEDERATION, number, trained, 0.0)
            raise
        return answers

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
                f"{needed} needed ({reasons})"
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

    def require_space_for(self, orders: Mapping[str, Order]) -> None:
        """Check that what a round sends, receives and keeps fits on disk.

        Raises:
            RunError: if it does not.
        """
        files = [order.weights for order in orders.values() if order.weights is not None]
        sent = sum({file: file.size for file in files}.values())
        trained = [order for order in orders.values() if order.instruction.kind == "train"]
        received = sum(order.weights.size for order in trained if order.weights is not None)
        if self.settings.encoding != EXACT:
            received *= 2  # as they come, and in the model's own types; or those of two attempts
        kept = max((file.size for file in files), default=0) * (1 + len(moments(self.strategy)))
        require_space({self.sites.store.folder: sent + received, self.folder.path: kept})
