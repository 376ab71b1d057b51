"""The lines of a site's record, and the receipt that follows from an answer's line.

A line ``keys`` tells whose signatures follow, the site's and the coordinator's; ``instruction``,
what the coordinator signed; and ``answer``, all that left the site for it. What is empty is not
written.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from federator.runtime.chain.lines import body_of, chain_of
from federator.runtime.files import sha256
from federator.runtime.link.records.leaving import LeftWeights
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.receipts import Receipt, evaluation_digest

Fields = dict[str, Any]
FILE = "record.jsonl"
KEYS, INSTRUCTION, ANSWER = "keys", "instruction", "answer"


def now() -> str:
    """Return the time as a record has it: to the second, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def answered(
    instruction: Instruction, number: int, answer: Outcome | Failure, update: LeftWeights | None
) -> Fields:
    """Return the line of an answer, without its signature and without the list of its tensors.

    Args:
        instruction: what was asked.
        number: which of the site's answers in the run this is.
        answer: what leaves beside weights.
        update: the weights that leave.
    """
    asked = {"run": instruction.run, "kind": instruction.kind, "round": instruction.round}
    line = {"event": ANSWER, "time": now(), "number": number, **asked, "model": instruction.model}
    line["journal"] = instruction.journal
    if isinstance(answer, Failure):
        line["failure"] = _filled(asdict(answer))
        return line
    line["examples"] = dict(answer.examples)
    evaluations = {name: _filled(asdict(one)) for name, one in answer.evaluations.items()}
    survey = _filled(asdict(answer.survey)) if answer.survey is not None else None
    warnings = [_filled(asdict(notice)) for notice in answer.warnings]
    further: Fields = {"evaluations": evaluations, "warnings": warnings, "survey": survey}
    if answer.spending is not None:
        further["spending"] = asdict(answer.spending)
    if answer.privacy is not None:
        further["privacy"] = answer.privacy.fields()
    if update is not None:
        further["weights"] = {
            "tensors": len(update.tensors),
            "bytes": sum(one.size for one in update.tensors.values()),
            "sha256": update.digest,
            "layout": sha256(json.dumps(update.layout).encode()),
        }
    return line | _filled(further)


def receipt_of(line: Mapping[str, Any], site: str, before: str) -> Receipt:
    """Return the receipt of an answer's line.

    Args:
        line: its fields; its signature and its hash do not count.
        site: the site's name.
        before: the hash of the line before it.

    Raises:
        KeyError, TypeError, ValueError: if it is not an answer's line.
    """
    body = body_of({k: v for k, v in line.items() if k not in ("signature", "chain")})
    return Receipt(
        site=site,
        **{name: line[name] for name in ("run", "number", "time", "kind", "round", "model")},
        journal=line["journal"],
        record=chain_of(before, body),
        examples=tuple(line.get("examples", {}).values()),
        evaluations={k: evaluation_digest(one) for k, one in line.get("evaluations", {}).items()},
        update=line.get("weights", {}).get("sha256", ""),
        failure=line.get("failure", {}).get("reason", ""),
        privacy=line.get("privacy", {}),
    )


def _filled(fields: Mapping[str, Any]) -> Fields:
    """Return the fields that are not empty; the number 0 is not."""
    return {k: v for k, v in fields.items() if v is not None and v not in ("", (), [], {})}
