"""What happened in a run, written into its journal as it happens (docs/results.md)."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from federator.runtime import source_map as sourcemap
from federator.runtime.protocol.evaluation.settings import Pooling
from federator.runtime.protocol.notices import SET_NAMES
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.aggregation.contribution import Contribution
from federator.runtime.server.aggregation.inspection import Inspection
from federator.runtime.server.evaluations.result import Result
from federator.runtime.server.exchange import Answer
from federator.runtime.server.journal import (
    Chosen,
    Evaluation,
    Privacy,
    Round,
    SiteReceipt,
    SiteState,
    append,
    now,
)
from federator.runtime.server.selection import Selection

log = logging.getLogger("federator")

_ALWAYS = ("loss", "examples", "noise")
_TRAFFIC = ("bytes_down", "bytes_up", "bytes_known")


class Recorder:
    """Writes what sites answered.

    Args:
        run: the run's folder.
        source_map: file that says which cell each generated line came from.
        metrics: how each declared metric pools.
    """

    def __init__(
        self, run: Path, source_map: str | None, metrics: Mapping[str, Pooling] | None = None
    ) -> None:
        self._run = run
        self._pooling = {name: how for name, how in (metrics or {}).items() if how != "mean"}
        self._source_map = sourcemap.read(Path(source_map)) if source_map else None
        self._written: dict[str, tuple[str, str | None]] = {}  # state and reason, by site
        self._warned: set[tuple[str, str, str, str]] = set()

    def explain(self, failure: Failure) -> str:
        """Return a failure in words, with the notebook's cell where there is one."""
        return sourcemap.placed(str(failure), self._source_map, failure.file, failure.line)

    def write_site(self, answer: Answer) -> None:
        """Write that a site joined, or why it did not, unless it has just reported the same."""
        site, state, reason = answer.site or "(unknown)", "joined", None
        known = {}
        if answer.failure is not None:
            kind, reason = answer.failure.reason, self.explain(answer.failure)
            state = kind if kind in ("outdated", "refused") else "failed"
            log.warning("site %s: %s", site, reason)
        elif answer.outcome is not None:
            known = {"examples": dict(answer.outcome.examples)}
        # A site that failed is greeted again and again; one that joins was not there before.
        if answer.failure is None or self._written.get(site) != (state, reason):
            append(self._run, SiteState(time=now(), site=site, state=state, reason=reason, **known))
        self._written[site] = (state, reason)
        self.warn({site: answer})

    def write_receipts(self, answers: Iterable[Answer]) -> None:
        """Write the sites' receipts of their answers."""
        for signed in (answer.receipt for answer in answers if answer.receipt is not None):
            said, signature = json.loads(signed.receipt.write()), signed.signature
            append(self._run, SiteReceipt(time=now(), receipt=said, signature=signature))

    def write_privacy(self, answers: Iterable[Answer]) -> None:
        """Write what the sites say that was spent of their privacy budgets, and for what."""
        for answer in answers:
            outcome = answer.outcome
            if outcome is not None and outcome.privacy is not None:
                cost = asdict(outcome.spending) if outcome.spending is not None else {}
                account = {**outcome.privacy.fields(), **cost}
                append(self._run, Privacy(time=now(), site=answer.site, **account))

    def write_missing(self, site: str) -> None:
        """Write that a site of the federation did not come."""
        reason = "it did not connect"
        append(self._run, SiteState(time=now(), site=site, state="missing", reason=reason))

    def write_round(
        self,
        model: str,
        number: int,
        answers: Mapping[str, Answer],
        seconds: float,
        inspection: Inspection | None = None,
    ) -> None:
        """Write a round of training into the journal, and what its updates are like."""
        inspection = inspection or Inspection()
        sites: dict[str, Contribution] = {}
        for site, answer in answers.items():
            traffic = {name: getattr(answer, name) for name in _TRAFFIC}
            if answer.outcome is not None and answer.failure is None:
                examples = answer.outcome.examples["trainset"]
                taken = round(answer.seconds, 3)
                known = {"update": found} if (found := inspection.updates.get(site)) else {}
                sites[site] = Contribution(
                    ok=True, examples=examples, seconds=taken, **traffic, **known
                )
            elif answer.failure is not None:
                reason = self.explain(answer.failure)
                log.warning("round %d, site %s: %s", number, site, reason)
                sites[site] = Contribution(ok=False, reason=reason, **traffic)
        for site, why in inspection.unusual.items():
            log.warning("round %d, site %s: unusual update: %s", number, site, why)
        taken, told = round(seconds, 3), dict[str, Any]()
        if inspection.unusual:
            told["unusual"] = dict(inspection.unusual)
        if inspection.epsilon is not None:
            told["epsilon"] = round(inspection.epsilon, 4)
        if inspection.masked is not None:
            told["masked"] = inspection.masked
        append(
            self._run,
            Round(time=now(), model=model, round=number, seconds=taken, sites=sites, **told),
        )

    def write_evaluation(
        self,
        event: Literal["validation", "test"],
        model: str,
        number: int,
        answers: Mapping[str, Answer],
        name: str,
    ) -> None:
        """Write the evaluation of a model into the journal, and why a site made none."""
        sites: dict[str, Result] = {}
        missing: dict[str, str] = {}
        for site, answer in answers.items():
            if answer.failure is not None:
                missing[site] = self.explain(answer.failure)
                log.warning("%s of round %d, site %s: %s", event, number, site, missing[site])
            elif answer.outcome is None or name not in answer.outcome.evaluations:
                missing[site] = f"it has no examples in its {SET_NAMES[name]}"
            else:
                fields = asdict(answer.outcome.evaluations[name])
                fields["withheld"] = list(fields["withheld"])
                sites[site] = Result.model_validate(
                    {
                        k: v
                        for k, v in fields.items()
                        if v is not None and (v not in ([], 0) or k in _ALWAYS)
                    }
                )
        found = Evaluation(
            event=event, time=now(), model=model, round=number, sites=sites, missing=missing,
            **{"pooling": self._pooling} if self._pooling else {},
        )  # fmt: skip
        append(self._run, found)

    def write_selection(self, selection: Selection) -> None:
        """Write which rounds were compared to choose the model, and at which sites."""
        if selection.round is None:
            log.warning(
                "select: best: no validation loss or error is known: the last model is taken"
            )
        for number, reason in selection.left_out.items():
            log.warning("select: best: round %d is not compared: %s", number, reason)
        append(
            self._run,
            Chosen(
                time=now(),
                round=selection.round,
                sites=list(selection.sites),
                compared=list(selection.figures),
                by=selection.by,
                left_out=dict(selection.left_out),
            ),
        )

    def warn(self, answers: Mapping[str, Answer]) -> None:
        """Write down what sites warn of, each thing once, and what they have refused.

        Refused since the last report: somebody attacks.
        """
        for site, answer in answers.items():
            if answer.forged:
                self._warn(
                    site, f"it refused {answer.forged} instruction(s) that you had not signed"
                )
            for notice in answer.outcome.warnings if answer.outcome else ():
                told = (site, notice.code, notice.set, notice.name)
                if told not in self._warned:  # it may say so in each round, with other numbers
                    self._warned.add(told)
                    self._warn(site, str(notice))

    def _warn(self, site: str, reason: str) -> None:
        log.warning("site %s: %s", site, reason)
        append(self._run, SiteState(time=now(), site=site, state="warned", reason=reason))
