"""The loop over a run's rounds: train, aggregate, test, choose the model, train baselines.

With the plain strategies one message a round does: a site tests the model it receives on its
validation set, then trains it; a last message tests the final one. Other strategies are run by
Flower's own ``Strategy.start`` (aggregation/flower_strategies.py).
"""

import random
import time
from typing import NamedTuple

from flwr.serverapp.strategy import FedAvg

from federator.errors import RunError
from federator.runtime.protocol.instructions import FEDERATION, PERSONAL
from federator.runtime.server.aggregation.blockwise import aggregate, is_plain
from federator.runtime.server.aggregation.flower_strategies import run_strategy
from federator.runtime.server.aggregation.geometry import Measurement, measure
from federator.runtime.server.aggregation.inspection import Inspection, inspect
from federator.runtime.server.aggregation.robust import Robust, Weighting, weigh
from federator.runtime.server.aggregation.site_privacy import SitePrivacy
from federator.runtime.server.exchange import Answer, sites_in, updates_in
from federator.runtime.server.journal import Evaluation, Start, events
from federator.runtime.server.packing import Order
from federator.runtime.server.secure_aggregation.attempts import Attempts
from federator.runtime.server.selection import select_round
from federator.runtime.server.session import Session
from federator.runtime.server.storage.checkpoints import Checkpoint
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.encoding import MASKED, is_exact


class _Trained(NamedTuple):
    """The updates of a round and how much each counts, who trained, and what all answered."""

    updates: list[WeightFile]
    weighting: Weighting
    trained: dict[str, Answer]
    answers: dict[str, Answer]
    inspection: Inspection | None
    """None: it is made of what is measured while they are aggregated."""


class Rounds:
    """Runs the planned rounds of a session."""

    def __init__(self, session: Session) -> None:
        self._session = session
        settings = session.settings
        self._robust = Robust(settings.norm_bound, settings.max_share)
        self._private = SitePrivacy.of(settings.site_privacy, len(settings.sites))

    def run(self, start: Checkpoint) -> Checkpoint:
        """Run the planned rounds from a checkpoint; return the model that was chosen.

        Raises:
            RunError: if too few sites join or deliver, or `robust` or `site_privacy` cannot
                be kept.
        """
        self._robust.require_fitting(self._session.strategy_name)
        if self._private is not None:
            self._private.require_fitting(
                self._session.strategy_name,
                start.weights.tensors,
                self._session.buffers,
                start.round + self._session.plan.rounds,
                self._session.settings.baselines,
            )
        if self._private is not None or start.round > 0:
            self._require_same_privacy()
        self._session.attendance.join()
        if start.round == 0:
            start = self._session.folder.begin(start.weights, self._session.buffers)
        last = self._rounds(start)
        chosen = self._choose(last)
        if chosen.round != last.round:
            self._session.test(FEDERATION, chosen, ("test",))
        if self._session.plan.personal:
            self._session.test(PERSONAL, chosen, ("test",))
        if self._session.settings.baselines:
            self._baselines(last.round)
        return chosen

    def _require_same_privacy(self) -> None:
        """Check that all rounds of this run had the same noise, so that their cost is known.

        Raises:
            RunError: if earlier ones had other noise, or none.
        """
        starts = events(self._session.folder.path, Start)
        if any(one.site_privacy != (self._session.settings.site_privacy or {}) for one in starts):
            raise RunError("site_privacy has changed since this run began: start a new run")

    def _rounds(self, start: Checkpoint) -> Checkpoint:
        if is_plain(self._session.strategy):
            assert isinstance(self._session.strategy, FedAvg)
            for number in range(start.round + 1, start.round + self._session.plan.rounds + 1):
                start = self._round(number, start)
        else:
            start = run_strategy(self._session, start)
        sets = ("val", "test") if self._session.plan.select == "last" else ("val",)
        self._session.test(FEDERATION, start, sets)
        return start

    def _round(self, number: int, before: Checkpoint) -> Checkpoint:
        """Train the model for one round at all sites, and aggregate their updates."""
        session = self._session
        session.attendance.welcome(f"round {number}")
        started = session.clock()
        train = self._train_masked if session.settings.encoding == MASKED else self._train
        found = train(number, before)
        assert isinstance(session.strategy, FedAvg)
        measurement = None
        if found.inspection is None:
            measurement = Measurement(len(found.updates), session.buffers)
        checkpoint = aggregate(
            session.strategy,
            number,
            before,
            found.updates,
            found.weighting,
            session.folder,
            session.buffers,
            hashed=is_exact(session.settings.encoding),
            measurement=measurement,
        )
        before.weights.drop_page_cache()
        taken = session.clock() - started
        inspection = found.inspection
        if measurement is not None:
            sites = sites_in(found.answers)
            inspection = inspect(sites, measurement.geometry(), found.weighting)
        session.record.write_round(FEDERATION, number, found.trained, taken, inspection)
        session.record.write_evaluation("validation", FEDERATION, number - 1, found.answers, "val")
        if session.plan.personal:
            session.test(PERSONAL, checkpoint, ("val",))
        return checkpoint

    def _train(self, number: int, before: Checkpoint) -> "_Trained":
        session = self._session
        deadline = session.training_deadline()
        train = Order(session.instruction("train", number, deadline, sets=("val",)), before.weights)
        # It travels as for those who train, so that all validate the same model.
        instruction = session.instruction(
            "evaluate", before.round, deadline, sets=("val",), encoding=session.settings.encoding
        )
        validate, trains = Order(instruction, before.weights), self._sample(number)
        orders = {site: train if site in trains else validate for site in session.sites.nodes}
        answers = session.deliver(number, orders)
        updates, examples = updates_in(answers)
        trained = {site: answer for site, answer in answers.items() if site in trains}
        assert isinstance(session.strategy, FedAvg)
        if self._private is not None:  # norms and cosines have no noise: they are not told
            weighting = self._private.weigh(measure(before.weights, updates, session.buffers))
            inspection: Inspection | None = Inspection(epsilon=self._private.epsilon(number))
        elif self._robust.needs_geometry(session.strategy):
            geometry = measure(before.weights, updates, session.buffers)
            weighting = weigh(session.strategy, self._robust, geometry, examples)
            inspection = inspect(sites_in(answers), geometry, weighting)
        else:
            weighting = weigh(session.strategy, self._robust, None, examples)
            inspection = None
        return _Trained(updates, weighting, trained, answers, inspection)

    def _train_masked(self, number: int, before: Checkpoint) -> "_Trained":
        """Train by secure aggregation, of which only the mean is known: one update of all."""
        attempts = Attempts(self._session, number, before)
        try:
            mean, answers, masked = attempts.run()
        except RunError:
            self._session.record.write_round(FEDERATION, number, attempts.answers, 0.0)
            raise
        return _Trained([mean], Weighting.of([1.0]), answers, answers, Inspection(masked=masked))

    def _choose(self, last: Checkpoint) -> Checkpoint:
        """Return the last model, or the one with the lowest loss over the same validation sets."""
        if self._session.plan.select == "last":
            return last
        done = events(self._session.folder.path, Evaluation)
        selection = select_round(
            one
            for one in done
            if (one.event, one.model) == ("validation", FEDERATION) and one.round <= last.round
        )
        self._session.record.write_selection(selection)
        best = last.round if selection.round is None else selection.round
        chosen = last if best == last.round else self._session.folder.load(best)
        if chosen.round == last.round:
            self._session.test(FEDERATION, last, ("test",))
        return chosen

    def _baselines(self, rounds: int) -> None:
        """Train each site alone, as a federation of one: the comparison of the paper's Table 2.

        Same first model, rounds, epochs and seeds, all sites side by side; then every model is
        tested on every site's test set.
        """
        session = self._session
        first = session.folder.load(0).weights
        models = dict.fromkeys(sorted(session.sites.nodes), first)
        for number in range(1, rounds + 1):
            started = time.monotonic()
            deadline = time.time() + session.settings.round_deadline
            orders = {
                site: Order(session.instruction("train", number, deadline, site, ("val",)), weights)
                for site, weights in models.items()
                if site in session.sites.nodes
            }
            session.require_space_for(orders)
            for site, answer in session.ask(orders).items():
                taken = time.monotonic() - started
                session.record.write_round(site, number, {site: answer}, taken)
                session.record.write_evaluation(
                    "validation", site, number - 1, {site: answer}, "val"
                )
                if answer.weights is None:
                    del models[site]
                else:
                    models[site] = answer.weights
        for site, weights in models.items():
            if site not in session.sites.nodes:
                continue
            session.test(site, Checkpoint(rounds, weights), ("val", "test"))

    def _sample(self, number: int) -> list[str]:
        """Return the sites that train this round, by the strategy's fraction and the seed."""
        assert isinstance(self._session.strategy, FedAvg)
        sites = sorted(self._session.sites.nodes)
        count = max(
            int(len(sites) * self._session.strategy.fraction_train),
            self._session.strategy.min_train_nodes,
        )
        if count >= len(sites):
            return sites
        return sorted(random.Random(f"{self._session.plan.seed} {number}").sample(sites, count))
