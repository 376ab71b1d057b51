"""The server: waits for the sites, runs the rounds, folds, tests, compares, and writes it down.

With the plain strategies one message a round does: a site tests the model it receives on its
validation set, then trains it; a last message tests the final one. Other strategies are run by
Flower's own ``Strategy.start`` (flower_strategies.py).
"""

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from flwr.serverapp.strategy import FedAvg, QFedAvg, Strategy

from federator.errors import RunError
from federator.runtime.app_config import Setting, declared_metrics
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.instructions import FEDERATION, Instruction
from federator.runtime.server.aggregation.blockwise import aggregate, is_plain, moments
from federator.runtime.server.exchange import Answer, Order
from federator.runtime.server.recorder import Recorder
from federator.runtime.server.selection import select
from federator.runtime.server.settings import ServerSettings
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage.checkpoints import Checkpoint, RunFolder
from federator.runtime.server.storage.disk import require_space
from federator.runtime.weights.buffers import Buffers
from federator.runtime.weights.encoding import EXACT

_PATIENCE = 2.0  # seconds that a round waits for a site that has just come back


@dataclass(frozen=True)
class Plan:
    """What the app's configuration asks for, in this run."""

    rounds: int
    epochs: int
    seed: int
    labels: tuple[str, ...]
    positive: str | None
    select: str
    metrics: tuple[str, ...] = ()

    @staticmethod
    def of(config: Mapping[str, Setting]) -> "Plan":
        """Return the plan in a run's configuration."""
        labels = tuple(str(config["labels"]).split(","))
        return Plan(
            rounds=int(config["rounds"]),
            epochs=int(config["local-epochs"]),
            seed=int(config["seed"]),
            labels=labels,
            positive=str(config["positive"]) if len(labels) == 2 else None,
            select=str(config["select"]),
            metrics=declared_metrics(config),
        )

    @property
    def policy(self) -> Policy:
        """What sites may say; how small a count may be is for each of them to decide."""
        return Policy(len(self.labels), frozenset(self.metrics), min_cell_count=0)


class Server:
    """One run of a federation, seen from the server.

    Args:
        sites: with the sites.
        settings: the server's own.
        plan: the run's.
        strategy: the author's.
        folder: where results go.
        buffers: names of the model's tensors that are no parameters.
    """

    def __init__(
        self,
        sites: Sites,
        settings: ServerSettings,
        plan: Plan,
        strategy: Strategy,
        folder: RunFolder,
        buffers: Buffers,
    ) -> None:
        self.sites, self.settings, self.plan = sites, settings, plan
        self.strategy, self.folder, self.buffers = strategy, folder, buffers
        self.record = Recorder(folder, settings.source_map)

    # -- the run ----------------------------------------------------------------------------

    def run(self, start: Checkpoint) -> Checkpoint:
        """Run the planned rounds from a checkpoint; return the model that was chosen.

        Raises:
            RunError: if too few sites join or deliver.
        """
        self._join()
        if start.round == 0:
            start = self.folder.begin(start.weights, self.buffers)
        last = self._rounds(start)
        chosen = self._choose(last)
        if chosen.round != last.round:
            self.test(FEDERATION, chosen, ("test",))
        if self.settings.baselines:
            self._baselines(last.round)
        return chosen

    def _rounds(self, start: Checkpoint) -> Checkpoint:
        if is_plain(self.strategy):
            assert isinstance(self.strategy, FedAvg)
            for number in range(start.round + 1, start.round + self.plan.rounds + 1):
                start = self._round(number, start)
        else:
            from federator.runtime.server.aggregation.flower_strategies import run_strategy

            start = run_strategy(self, self.strategy, start)
        sets = ("val", "test") if self.plan.select == "last" else ("val",)
        self.test(FEDERATION, start, sets)
        return start

    def _round(self, number: int, before: Checkpoint) -> Checkpoint:
        assert isinstance(self.strategy, FedAvg)
        started = time.monotonic()
        self.welcome()
        deadline = time.time() + self.settings.round_deadline
        train = Order(self.instruction("train", number, deadline, sets=("val",)), before.weights)
        # It travels as for those who train, so that all validate the same model.
        instruction = self.instruction(
            "evaluate", number, deadline, sets=("val",), encoding=self.settings.encoding
        )
        validate, trains = Order(instruction, before.weights), self._sample(number)
        orders = {site: train if site in trains else validate for site in self.sites.nodes}
        answers = self.deliver(number, orders)
        done = [answer for answer in answers.values() if answer.weights is not None]
        checkpoint = aggregate(
            self.strategy,
            number,
            before,
            [answer.weights for answer in done if answer.weights is not None],
            [a.outcome.examples["trainset"] for a in done if a.outcome is not None],
            self.folder,
            self.buffers,
            hashed=self.settings.encoding == EXACT,
        )
        before.weights.leave_memory()
        told = {site: answer for site, answer in answers.items() if site in trains}
        self.record.write_round(FEDERATION, number, told, time.monotonic() - started)
        self.record.write_evaluation("validation", FEDERATION, number - 1, answers, "val")
        return checkpoint

    def ask(self, orders: Mapping[str, Order]) -> dict[str, Answer]:
        """Give sites their orders; write down what they warn of, and return their answers."""
        deadline = max((order.instruction.expires for order in orders.values()), default=0.0)
        answers = self.sites.ask(orders, deadline, self.record.write_site)
        self.record.warn(answers)
        return answers

    def deliver(self, number: int, orders: Mapping[str, Order]) -> dict[str, Answer]:
        """Have sites train, or only validate; return all answers if enough updates came.

        Raises:
            RunError: if fewer than the quorum did, with each site's reason, or none has an example.
        """
        self._require_space(orders)
        answers = self.ask(orders)
        trained = {
            site: answer
            for site, answer in answers.items()
            if orders[site].instruction.kind == "train"
        }
        delivered = sum(answer.failure is None for answer in trained.values())
        needed = max(1, min(self.settings.quorum, len(trained)))
        if delivered < needed:
            self.record.write_round(FEDERATION, number, trained, 0.0)
            reasons = "; ".join(
                f"{site}: {self.record.explain(answer.failure)}"
                for site, answer in trained.items()
                if answer.failure is not None
            )
            raise RunError(
                f"round {number}: {delivered} of {len(trained)} sites delivered an update, "
                f"{needed} needed ({reasons})"
            )
        if not sum(
            answer.outcome.examples["trainset"]
            for answer in trained.values()
            if answer.outcome is not None and answer.failure is None
        ):
            self.record.write_round(FEDERATION, number, trained, 0.0)
            raise RunError(f"round {number}: no site has an example in its training set")
        return answers

    # -- joining ----------------------------------------------------------------------------

    def _join(self) -> None:
        expected = frozenset(self.settings.sites)
        enough = self.settings.quorum
        if not expected and isinstance(self.strategy, FedAvg):
            enough = self.strategy.min_available_nodes
        deadline = time.time() + self.settings.join_deadline
        order = Order(self.instruction("join", 0, deadline + self.settings.round_deadline))
        spoke = set()
        for answer in self.sites.join(order, expected, enough, deadline):
            spoke.add(answer.site)
            self.record.write_site(answer)
        for site in sorted(expected - spoke):
            self.folder.record("site", site=site, state="missing", reason="it did not connect")
        if len(self.sites.nodes) < enough:
            joined = ", ".join(sorted(self.sites.nodes)) or "none"
            raise RunError(
                f"{len(self.sites.nodes)} of {len(expected) or enough} sites joined "
                f"({joined}), {enough} needed: {self._why_not(expected)}"
            )

    def _why_not(self, expected: frozenset[str]) -> str:
        said = {str(event["site"]): str(event["reason"]) for event in self.folder.events("site")}
        missing = sorted((expected or said.keys()) - self.sites.nodes.keys())
        return "; ".join(f"{site}: {said.get(site, 'it did not connect')}" for site in missing)

    def welcome(self) -> None:
        """Let sites that have come meanwhile take part from now on."""
        order = Order(self.instruction("join", 0, time.time() + self.settings.round_deadline))
        expected = frozenset(self.settings.sites)
        for answer in self.sites.welcome(order, expected, _PATIENCE):
            self.record.write_site(answer)

    # -- testing ----------------------------------------------------------------------------

    def test(self, model: str, checkpoint: Checkpoint, sets: tuple[str, ...]) -> None:
        """Evaluate a model on the sites' validation or test sets."""
        deadline = time.time() + self.settings.round_deadline
        instruction = self.instruction("evaluate", checkpoint.round, deadline, model, sets)
        order = Order(instruction, checkpoint.weights)
        answers = self.ask(dict.fromkeys(self.sites.nodes, order))
        if "val" in sets:
            own = answers if model == FEDERATION else {model: answers[model]}
            self.record.write_evaluation("validation", model, checkpoint.round, own, "val")
        if "test" in sets:
            self.record.write_evaluation("test", model, checkpoint.round, answers, "test")

    def _choose(self, last: Checkpoint) -> Checkpoint:
        """Return the last model, or the one with the lowest loss over the same validation sets."""
        if self.plan.select == "last":
            return last
        measured = {
            event["round"]: {
                site: (told.get("loss"), told["examples"]) for site, told in event["sites"].items()
            }
            for event in self.folder.events("validation")
            if event["model"] == FEDERATION and event["round"] <= last.round
        }
        selection = select(measured)
        self.record.write_selection(selection)
        best = last.round if selection.round is None else selection.round
        chosen = last if best == last.round else self.folder.load(best)
        if chosen.round == last.round:
            self.test(FEDERATION, last, ("test",))
        return chosen

    def _baselines(self, rounds: int) -> None:
        """Train each site alone, as a federation of one: the comparison of the paper's Table 2.

        Same first model, rounds, epochs and seeds, all sites side by side; then every model is
        tested on every site's test set.
        """
        first = self.folder.load(0).weights
        models = dict.fromkeys(sorted(self.sites.nodes), first)
        for number in range(1, rounds + 1):
            started = time.monotonic()
            deadline = time.time() + self.settings.round_deadline
            orders = {
                site: Order(self.instruction("train", number, deadline, site, ("val",)), weights)
                for site, weights in models.items()
                if site in self.sites.nodes
            }
            self._require_space(orders)
            for site, answer in self.ask(orders).items():
                taken = time.monotonic() - started
                self.record.write_round(site, number, {site: answer}, taken)
                self.record.write_evaluation("validation", site, number - 1, {site: answer}, "val")
                if answer.weights is None:
                    del models[site]
                else:
                    models[site] = answer.weights
        for site, weights in models.items():
            if site not in self.sites.nodes:
                continue
            self.test(site, Checkpoint(rounds, weights), ("val", "test"))

    # -- pieces -----------------------------------------------------------------------------

    def instruction(
        self,
        kind: str,
        number: int,
        expires: float,
        model: str = FEDERATION,
        sets: tuple[str, ...] = (),
        encoding: str = EXACT,
    ) -> Instruction:
        """Return an instruction of this run; what trains travels in the run's encoding anyway."""
        if kind == "train" and isinstance(self.strategy, QFedAvg):
            sets = (*sets, "train")  # it weighs the sites by this loss
        return Instruction(
            kind,  # type: ignore[arg-type]
            number,
            expires,
            model,
            self.plan.epochs if kind == "train" else 0,
            self.plan.seed,
            sets,
            float(getattr(self.strategy, "proximal_mu", 0.0)) if model == FEDERATION else 0.0,
            self.settings.encoding if kind == "train" else encoding,
            max(1, len(self.sites.nodes or self.settings.sites)),
        )

    def _require_space(self, orders: Mapping[str, Order]) -> None:
        """Check that what a round sends, receives and keeps fits on disk.

        Raises:
            RunError: if it does not.
        """
        files = [order.weights for order in orders.values() if order.weights is not None]
        sent = sum({file: file.size for file in files}.values())
        trained = [order for order in orders.values() if order.instruction.kind == "train"]
        received = sum(order.weights.size for order in trained if order.weights is not None)
        if self.settings.encoding != EXACT:
            received *= 2  # as they come, and in the model's own types
        kept = max(file.size for file in files) * (1 + len(moments(self.strategy)))
        require_space({self.sites.store.folder: sent + received, self.folder.path: kept})

    def _sample(self, number: int) -> list[str]:
        """Return the sites that train this round, by the strategy's fraction and the seed."""
        assert isinstance(self.strategy, FedAvg)
        sites = sorted(self.sites.nodes)
        count = max(int(len(sites) * self.strategy.fraction_train), self.strategy.min_train_nodes)
        if count >= len(sites):
            return sites
        return sorted(random.Random(f"{self.plan.seed} {number}").sample(sites, count))
