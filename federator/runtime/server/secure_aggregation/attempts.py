"""A round of secure aggregation: attempts until all of a cohort have sent, and revealed.

A site that drops out before any seed is asked for is left out of the next attempt, for which the
others train again. Once seeds are asked for, the cohort is fixed: with another one, two sums would
differ by a single site's update, and sites refuse that. Then the round waits for who is missing.
"""

import time
from collections.abc import Mapping
from typing import NamedTuple

from federator.errors import RunError
from federator.runtime.masking.fixed_point import DEFAULT_BOUND, Grid
from federator.runtime.masking.terms import MINIMUM, Member, Terms
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.exchange import Answer
from federator.runtime.server.packing import Order
from federator.runtime.server.secure_aggregation.masked_sum import MaskedSum
from federator.runtime.server.secure_aggregation.unmasking import mean_form, write_mean
from federator.runtime.server.session import Session
from federator.runtime.server.storage.checkpoints import Checkpoint
from federator.runtime.server.waits.pauses import Shortage
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.encoding import MASKED

_ATTEMPTS = 6  # below what the signer signs of one question
_LOOK = 1.0  # seconds between looks whether a site is back


class MaskedRound(NamedTuple):
    """What a round of secure aggregation came to.

    Attributes:
        mean: the mean of the sites' models, by their numbers of examples.
        answers: the last one of each site that was to train.
        made: how, for the journal.
    """

    mean: WeightFile
    answers: dict[str, Answer]
    made: MaskedSum


class Attempts:
    """Makes attempts at one round.

    Args:
        session: of the run.
        number: the round's.
        before: the model that is trained.

    Attributes:
        answers: the last one of each site that was to train, or its failure.
    """

    def __init__(self, session: Session, number: int, before: Checkpoint) -> None:
        self._session, self._number, self._before = session, number, before
        self.answers: dict[str, Answer] = {}

    def run(self) -> MaskedRound:
        """Return the round's mean.

        Raises:
            RunError: if fewer sites than the minimum take part, or one of a fixed cohort is gone.
        """
        cohort, fixed = self._present(), False
        for attempt in range(1, _ATTEMPTS + 1):
            terms = self._terms(attempt, cohort if fixed else self._completed(cohort))
            updates = self._train(terms)
            if len(updates) == len(cohort):
                fixed = True
                seeds = self._reveal(terms)
                if len(seeds) == len(cohort):
                    return self._finished(terms, updates, seeds)
                self._await(cohort)
            elif fixed:
                self._await(cohort)
            else:
                cohort = sorted(updates)
        raise RunError(f"round {self._number}: given up after {_ATTEMPTS} attempts: {self._why}")

    def _present(self) -> list[str]:
        """Return the sites that have joined with a key for masks and with examples."""
        sites = self._session.sites
        return sorted(site for site in sites.nodes if site in sites.mask_keys and self._size(site))

    def _completed(self, cohort: list[str]) -> list[str]:
        """Return a cohort that is not fixed; where too few are there, after a pause."""
        here, least = self._session.sites.nodes, self._least
        if len(cohort) >= least or len(here) >= least:
            return cohort
        self._session.attendance.enough(f"round {self._number}", least)
        return self._present()

    @property
    def _least(self) -> int:
        """Of how many sites there has to be a sum."""
        return max(MINIMUM, self._session.settings.quorum)

    def _size(self, site: str) -> int:
        return self._session.sites.sizes(site).get("trainset", 0)

    def _terms(self, attempt: int, cohort: list[str]) -> Terms:
        """Return the terms of an attempt.

        Raises:
            RunError: if the cohort is too small.
        """
        if len(cohort) < self._least:
            who = ", ".join(cohort) or "none"
            what = f"{len(cohort)} sites can be summed ({who}), {self._least} needed"
            ended = self._session.pauses.ended
            raise RunError(f"round {self._number}: {what}: {self._why}{ended}")
        keys = self._session.sites.mask_keys
        members = tuple(Member(site, self._size(site), keys[site]) for site in cohort)
        return Terms(attempt, Grid.finest(DEFAULT_BOUND, len(cohort)), members)

    @property
    def _why(self) -> str:
        """What kept sites from taking part."""
        explain, sites = self._session.record.explain, self._session.sites
        told = dict.fromkeys(sites.nodes, "it has no key for masks, or no examples")
        for site in self._present():
            told.pop(site, None)
        failed = {s: explain(a.failure) for s, a in self.answers.items() if a.failure is not None}
        return "; ".join(f"{s}: {why}" for s, why in (told | failed).items()) or "no others joined"

    def _train(self, terms: Terms) -> dict[str, WeightFile]:
        """Have the cohort train; return the masked updates that came."""
        session, deadline = self._session, self._session.training_deadline()
        instruction = session.instruction(
            "train", self._number, deadline, sets=("val",), masking=terms.write()
        )
        order = Order(instruction, self._before.weights)
        orders = {site: order for site in terms.sites if site in session.sites.nodes}
        session.require_space_for(orders)
        gone = {site: Answer(site, 0.0, failure=Failure("lost")) for site in terms.sites}
        answers = gone | session.ask(orders)
        self.answers |= answers
        return {s: a.weights for s, a in answers.items() if a.weights is not None}

    def _reveal(self, terms: Terms) -> dict[str, str]:
        """Ask the cohort for the seeds of its own masks; return those that came."""
        session, deadline = self._session, time.time() + self._session.settings.round_deadline
        instruction = session.instruction(
            "reveal", self._number, deadline, encoding=MASKED, masking=terms.write()
        )
        asked = [site for site in terms.sites if site in session.sites.nodes]
        answers = session.ask(dict.fromkeys(asked, Order(instruction)))
        failed = {site: answer for site, answer in answers.items() if answer.failure is not None}
        self.answers |= failed
        return {s: a.masking.seed for s, a in answers.items() if s not in failed and a.masking.seed}

    def _await(self, cohort: list[str]) -> None:
        """Wait until all of a cohort are there again.

        Raises:
            RunError: naming who is not.
        """
        session, step = self._session, f"round {self._number}"
        until = time.time() + session.settings.join_deadline
        nodes, everyone = session.sites.nodes.keys(), frozenset(cohort)
        while everyone - nodes and time.time() <= until:
            time.sleep(_LOOK)
            session.attendance.look()
        why = "masks were asked for: the round can be trained again with the same sites only"
        reasons = dict.fromkeys(cohort, "it dropped out").copy
        if not session.pauses.wait(step, Shortage(nodes, len(cohort), everyone, reasons)):
            raise RunError(
                f"{step}: {', '.join(sorted(everyone - nodes))} dropped out after {why} "
                f"({self._why}){session.pauses.ended}"
            )

    def _finished(
        self, terms: Terms, updates: Mapping[str, WeightFile], seeds: Mapping[str, str]
    ) -> MaskedRound:
        session, model = self._session, self._before.weights
        name = terms.name(session.folder.path.name, self._number)
        mean = session.sites.store.make(
            mean_form(model.tensors),
            lambda out: write_mean(model, updates, seeds, terms, name, out),
        )
        saturated = {site: self.answers[site].masking.saturated for site in terms.sites}
        made = MaskedSum(
            attempts=terms.attempt,
            sites=terms.sites,
            quantum=terms.grid.quantum,
            bound=terms.grid.bound,
            saturated={site: count for site, count in saturated.items() if count},
        )
        return MaskedRound(mean, self.answers, made)
