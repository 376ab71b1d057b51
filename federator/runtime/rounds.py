"""The server: waits for the sites, runs the rounds, folds, tests, compares, and writes it down.

With the plain strategies one message a round does: a site tests the model it receives on its
validation set, then trains it; a last message tests the final one. Other strategies are run by
Flower's own ``Strategy.start`` (strategies.py).
"""

import importlib
import logging
import platform
import random
import shutil
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import flwr
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, QFedAvg, Strategy

import federator
from federator import sourcemap
from federator.errors import RunError
from federator.runtime.checkpoints import Checkpoint, RunFolder
from federator.runtime.conversation import Answer, Conversation, Order
from federator.runtime.disk import require_space
from federator.runtime.encoding import EXACT
from federator.runtime.flower import quicken_grid
from federator.runtime.folding import fold, is_plain, moments
from federator.runtime.instructions import FEDERATION, Instruction
from federator.runtime.options import begin_log
from federator.runtime.outcomes import Failure
from federator.runtime.parameters import Setting, choose
from federator.runtime.settings import ServerSettings
from federator.runtime.store import STORE, Store
from federator.runtime.weightfile import WeightFile

log = logging.getLogger("federator")


@dataclass(frozen=True)
class Plan:
    """What the app's configuration asks for, in this run."""

    rounds: int
    epochs: int
    seed: int
    labels: tuple[str, ...]
    positive: str | None
    select: str

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
        )


class Server:
    """One run of a federation, seen from the server.

    Args:
        conversation: with the sites.
        settings: the server's own.
        plan: the run's.
        strategy: the author's.
        folder: where results go.
    """

    def __init__(
        self,
        conversation: Conversation,
        settings: ServerSettings,
        plan: Plan,
        strategy: Strategy,
        folder: RunFolder,
    ) -> None:
        self.conversation, self.settings, self.plan = conversation, settings, plan
        self.strategy, self.folder = strategy, folder
        source_map = settings.source_map
        self._source_map = sourcemap.read(Path(source_map)) if source_map else None
        self._told: dict[str, dict[str, object]] = {}

    # -- the run ----------------------------------------------------------------------------

    def run(self, start: Checkpoint) -> Checkpoint:
        """Run the planned rounds from a checkpoint; return the model that was chosen.

        Raises:
            RunError: if too few sites join or deliver.
        """
        self._join()
        if start.round == 0:
            start = self.folder.begin(start.weights)
        last = self._rounds(start)
        chosen = self._choose(last)
        if chosen.round != last.round:
            self._test(FEDERATION, chosen, ("test",))
        if self.settings.baselines:
            self._baselines(last.round)
        return chosen

    def _rounds(self, start: Checkpoint) -> Checkpoint:
        if is_plain(self.strategy):
            assert isinstance(self.strategy, FedAvg)
            for number in range(start.round + 1, start.round + self.plan.rounds + 1):
                start = self._round(number, start)
        else:
            from federator.runtime.strategies import run_strategy

            start = run_strategy(self, self.strategy, start)
        sets = ("val", "test") if self.plan.select == "last" else ("val",)
        self._test(FEDERATION, start, sets)
        return start

    def _round(self, number: int, before: Checkpoint) -> Checkpoint:
        assert isinstance(self.strategy, FedAvg)
        started = time.monotonic()
        self._welcome()
        deadline = time.time() + self.settings.round_deadline
        order = Order(self.instruction("train", number, deadline, sets=("val",)), before.weights)
        answers = self.deliver(number, dict.fromkeys(self._sample(number), order), deadline)
        done = [answer for answer in answers.values() if answer.weights is not None]
        checkpoint = fold(
            self.strategy,
            number,
            before,
            [answer.weights for answer in done if answer.weights is not None],
            [a.outcome.examples["trainset"] for a in done if a.outcome is not None],
            self.folder,
        )
        self.record_round(FEDERATION, number, answers, time.monotonic() - started)
        self.record_evaluation("validation", FEDERATION, number - 1, answers, "val")
        return checkpoint

    def ask(self, orders: Mapping[str, Order], deadline: float) -> dict[str, Answer]:
        """Give sites their orders; write down what they warn of, and return their answers."""
        answers = self.conversation.ask(orders, deadline)
        self._warn(answers)
        return answers

    def deliver(
        self, number: int, orders: Mapping[str, Order], deadline: float
    ) -> dict[str, Answer]:
        """Have sites train; return their answers if enough of them delivered.

        Raises:
            RunError: if fewer than the quorum did, with each site's reason.
        """
        self._require_space(orders)
        answers = self.ask(orders, deadline)
        delivered = sum(answer.failure is None for answer in answers.values())
        needed = max(1, min(self.settings.quorum, len(orders)))
        if delivered < needed:
            self.record_round(FEDERATION, number, answers, 0.0)
            reasons = "; ".join(
                f"{site}: {self.explain(answer.failure)}"
                for site, answer in answers.items()
                if answer.failure is not None
            )
            raise RunError(
                f"round {number}: {delivered} of {len(orders)} sites delivered an update, "
                f"{needed} needed ({reasons})"
            )
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
        for answer in self.conversation.join(order, expected, enough, deadline):
            spoke.add(answer.site)
            self._record_site(answer)
        for site in sorted(expected - spoke):
            self.folder.record("site", site=site, state="missing", reason="it did not connect")
        if len(self.conversation.nodes) < enough:
            joined = ", ".join(sorted(self.conversation.nodes)) or "none"
            raise RunError(
                f"{len(self.conversation.nodes)} of {len(expected) or enough} sites joined "
                f"({joined}), {enough} needed: {self._why_not(expected)}"
            )

    def _why_not(self, expected: frozenset[str]) -> str:
        said = {str(event["site"]): str(event["reason"]) for event in self.folder.events("site")}
        missing = sorted((expected or said.keys()) - self.conversation.nodes.keys())
        return "; ".join(f"{site}: {said.get(site, 'it did not connect')}" for site in missing)

    def _welcome(self) -> None:
        """Let sites that have come meanwhile take part from now on."""
        order = Order(self.instruction("join", 0, time.time() + self.settings.round_deadline))
        expected = frozenset(self.settings.sites)
        for answer in self.conversation.join(order, expected, 0, 0.0):
            self._record_site(answer)

    def _record_site(self, answer: Answer) -> None:
        fields: dict[str, object] = {"state": "joined", "reason": None}
        if answer.failure is not None:
            kind = answer.failure.reason
            fields["state"] = kind if kind in ("outdated", "refused") else "failed"
            fields["reason"] = self.explain(answer.failure)
            log.warning("site %s: %s", answer.site or "(unknown)", fields["reason"])
        elif answer.outcome is not None:
            fields["examples"] = answer.outcome.examples
        site = answer.site or "(unknown)"
        if self._told.get(site) != fields:  # it is greeted again in each round
            self.folder.record("site", site=site, **fields)
        self._told[site] = fields
        self._warn({site: answer})

    # -- testing ----------------------------------------------------------------------------

    def _test(self, model: str, checkpoint: Checkpoint, sets: tuple[str, ...]) -> None:
        """Evaluate a model on the sites' validation or test sets."""
        deadline = time.time() + self.settings.round_deadline
        instruction = self.instruction("evaluate", checkpoint.round, deadline, model, sets)
        order = Order(instruction, checkpoint.weights)
        answers = self.ask(dict.fromkeys(self.conversation.nodes, order), deadline)
        if "val" in sets:
            own = answers if model == FEDERATION else {model: answers[model]}
            self.record_evaluation("validation", model, checkpoint.round, own, "val")
        if "test" in sets:
            self.record_evaluation("test", model, checkpoint.round, answers, "test")

    def _choose(self, last: Checkpoint) -> Checkpoint:
        """Return the last model, or the one with the lowest loss over all validation sets."""
        if self.plan.select == "last":
            return last
        losses: dict[int, float] = {}
        for event in self.folder.events("validation"):
            if event["model"] == FEDERATION and event["sites"]:
                each = event["sites"].values()
                total = sum(site["examples"] for site in each)
                losses[event["round"]] = sum(s["loss"] * s["examples"] for s in each) / total
        best = min(losses, key=lambda number: (losses[number], -number), default=last.round)
        chosen = last if best == last.round else self.folder.load(best)
        if chosen.round == last.round:
            self._test(FEDERATION, last, ("test",))
        return chosen

    def _baselines(self, rounds: int) -> None:
        """Train each site alone, as a federation of one: the comparison of the paper's Table 2.

        Same first model, rounds, epochs and seeds, all sites side by side; then every model is
        tested on every site's test set.
        """
        first = self.folder.load(0).weights
        models = dict.fromkeys(sorted(self.conversation.nodes), first)
        for number in range(1, rounds + 1):
            started = time.monotonic()
            deadline = time.time() + self.settings.round_deadline
            orders = {
                site: Order(self.instruction("train", number, deadline, site, ("val",)), weights)
                for site, weights in models.items()
                if site in self.conversation.nodes
            }
            self._require_space(orders)
            for site, answer in self.ask(orders, deadline).items():
                taken = time.monotonic() - started
                self.record_round(site, number, {site: answer}, taken)
                self.record_evaluation("validation", site, number - 1, {site: answer}, "val")
                if answer.weights is None:
                    del models[site]
                else:
                    models[site] = answer.weights
        for site, weights in models.items():
            if site not in self.conversation.nodes:
                continue
            self._test(site, Checkpoint(rounds, weights), ("val", "test"))

    # -- pieces -----------------------------------------------------------------------------

    def instruction(
        self,
        kind: str,
        number: int,
        expires: float,
        model: str = FEDERATION,
        sets: tuple[str, ...] = (),
    ) -> Instruction:
        """Return an instruction of this run."""
        inner = getattr(self.strategy, "strategy", self.strategy)  # of differential privacy
        if kind == "train" and isinstance(inner, QFedAvg):
            sets = (*sets, "train")  # it weighs the sites by this loss
        return Instruction(
            kind,  # type: ignore[arg-type]
            number,
            expires,
            model,
            self.plan.epochs if kind == "train" else 0,
            self.plan.seed,
            sets,
            float(getattr(inner, "proximal_mu", 0.0)) if model == FEDERATION else 0.0,
            # What is only tested is the model itself, to the last digit.
            self.settings.encoding if kind == "train" else EXACT,
        )

    def _require_space(self, orders: Mapping[str, Order]) -> None:
        """Check that what a round sends, receives and keeps fits on disk.

        Raises:
            RunError: if it does not.
        """
        files = [order.weights for order in orders.values() if order.weights is not None]
        sent = sum({file: file.size for file in files}.values())
        received = sum(file.size for file in files)
        if self.settings.encoding != EXACT:
            received *= 2  # as they come, and in the model's own types
        kept = max(file.size for file in files) * (1 + len(moments(self.strategy)))
        require_space({self.conversation.store.folder: sent + received, self.folder.path: kept})

    def _sample(self, number: int) -> list[str]:
        """Return the sites that train this round, by the strategy's fraction and the seed."""
        assert isinstance(self.strategy, FedAvg)
        sites = sorted(self.conversation.nodes)
        count = max(int(len(sites) * self.strategy.fraction_train), self.strategy.min_train_nodes)
        if count >= len(sites):
            return sites
        return sorted(random.Random(f"{self.plan.seed} {number}").sample(sites, count))

    def explain(self, failure: Failure) -> str:
        """Return a failure in words, with the notebook's cell where there is one."""
        where = None
        if self._source_map is not None and failure.line:
            where = self._source_map.locate(failure.file, failure.line)
        return f"{failure} ({where})" if where else str(failure)

    def record_round(
        self, model: str, number: int, answers: Mapping[str, Answer], seconds: float
    ) -> None:
        """Write a round of training into the journal."""
        sites: dict[str, object] = {}
        for site, answer in answers.items():
            traffic = {
                name: getattr(answer, name) for name in ("bytes_down", "bytes_up", "bytes_known")
            }
            if answer.outcome is not None and answer.failure is None:
                examples = answer.outcome.examples["trainset"]
                taken = round(answer.seconds, 3)
                sites[site] = {"ok": True, "examples": examples, "seconds": taken, **traffic}
            elif answer.failure is not None:
                reason = self.explain(answer.failure)
                log.warning("round %d, site %s: %s", number, site, reason)
                sites[site] = {"ok": False, "reason": reason, **traffic}
        self.folder.record(
            "round", model=model, round=number, seconds=round(seconds, 3), sites=sites
        )

    def record_evaluation(
        self, event: str, model: str, number: int, answers: Mapping[str, Answer], name: str
    ) -> None:
        """Write the evaluation of a model into the journal."""
        sites: dict[str, object] = {}
        for site, answer in answers.items():
            if answer.outcome is None or name not in answer.outcome.evaluations:
                continue
            fields = asdict(answer.outcome.evaluations[name])
            sites[site] = {key: value for key, value in fields.items() if value is not None}
        self.folder.record(event, model=model, round=number, sites=sites)

    def _warn(self, answers: Mapping[str, Answer]) -> None:
        """Write down what sites have refused since they were last heard: somebody attacks."""
        for site, answer in answers.items():
            if answer.forged:
                reason = f"it refused {answer.forged} instruction(s) that you had not signed"
                log.warning("site %s: %s", site, reason)
                self.folder.record("site", site=site, state="warned", reason=reason)


def server_app(module: str) -> ServerApp:
    """Return a Flower ServerApp that runs the federation with a module's ``strategy``."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        begin_log()
        quicken_grid()
        name = grid.run.fab_id.rpartition("/")[2]
        settings = ServerSettings.read(name, context.run_id)
        folder = RunFolder(Path(settings.run))
        folder.mend()
        started = time.monotonic()
        end: dict[str, object] = {"state": "failed", "reason": "the server broke down"}
        try:
            end |= _run(grid, context, settings, folder, module)
        except RunError as error:
            end |= {"reason": str(error)}
            raise
        except SystemExit:  # Flower's answer to a signal, or to the run being stopped
            end |= {"state": "stopped", "reason": "the run was stopped"}
            raise
        except Exception as error:
            log.exception("the server broke down")
            end |= {"reason": _told(error, settings)}
            raise
        finally:
            end |= {"seconds": round(time.monotonic() - started, 3)}
            folder.record("end", **end, flower_run=context.run_id)
            shutil.rmtree(folder.path / STORE, ignore_errors=True)

    return app


def _run(
    grid: Grid, context: Context, settings: ServerSettings, folder: RunFolder, module: str
) -> dict[str, object]:
    plan = Plan.of(context.run_config)
    choose(context.run_config)
    strategy = importlib.import_module(module).strategy
    shared = settings.store
    store = Store(Path(shared) if shared else folder.path / STORE)
    start = folder.last() or Checkpoint(0, _first_weights(settings, plan, store))
    versions = {
        "python": platform.python_version(),
        "flwr": flwr.__version__,
        "federator": federator.__version__,
    }
    described = {
        "run": folder.path.name,
        "federation": settings.federation,
        "strategy": type(strategy).__name__,
        "labels": plan.labels,
        "positive": plan.positive,
        "seed": plan.seed,
        "local_epochs": plan.epochs,
        "baselines": settings.baselines,
        "select": plan.select,
        "versions": versions,
        "encoding": settings.encoding,
        "model_bytes": start.weights.size,
    }
    last = start.round + plan.rounds
    sites = sorted(settings.sites)
    folder.record("start", first_round=start.round + 1, last_round=last, sites=sites, **described)
    key = _signing_key(settings)
    conversation = Conversation(
        grid, context.run_id, key, settings.local_only, store,
        by_files=lambda site: shared is not None and site not in settings.messages,
    )  # fmt: skip
    chosen = Server(conversation, settings, plan, strategy, folder).run(start)
    folder.finish(chosen, {**described, "app_hash": grid.run.fab_hash, "rounds": last})
    return {"state": "finished", "reason": None, "round": last, "model_round": chosen.round}


def _told(error: Exception, settings: ServerSettings) -> str:
    """Return in words what broke down, with the notebook's cell: no site's data are here."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).name == "aggregation.py"]
    where = None
    if own and settings.source_map is not None:
        source_map = sourcemap.read(Path(settings.source_map))
        where = source_map.locate(own[-1].filename, own[-1].lineno or 0)
    who = "the notebook's strategy" if own else "the server"
    text = f"{who} broke down: {type(error).__name__}: {error}"
    return f"{text} ({where})" if where else text


def _signing_key(settings: ServerSettings) -> Ed25519PrivateKey | None:
    if settings.signing_key is None:
        return None
    key = load_pem_private_key(Path(settings.signing_key).read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise RunError(f"{settings.signing_key} is not an Ed25519 key")
    return key


def _first_weights(settings: ServerSettings, plan: Plan, store: Store) -> WeightFile:
    """Return the first model: from the file that was made for it, or from the author's Model()."""
    if settings.initial_weights is not None:
        return WeightFile(Path(settings.initial_weights))
    from federator.runtime.initial import build

    try:
        return store.keep(build(None, plan.seed))
    except ImportError as error:
        raise RunError(
            f"the first model cannot be built here ({error}): give initial_weights"
        ) from None
