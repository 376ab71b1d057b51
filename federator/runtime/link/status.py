"""The command ``status`` at a site: what it does, did and sent, by its record and its ledgers."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from federator.runtime.link.policy.ledger import Ledger
from federator.runtime.link.policy.reading import read as read_policy
from federator.runtime.link.policy.rules import used
from federator.runtime.link.privacy import opening as privacy
from federator.runtime.link.records.command import load, summary
from federator.runtime.link.records.entries import INSTRUCTION
from federator.runtime.link.records.export import counted
from federator.runtime.link.records.reading import Answered, Reading
from federator.runtime.options import Parser

_SHOWN = 5  # answers that failed, the last ones


@dataclass
class RunAtSite:
    """What a site did in a run.

    Attributes:
        first, last: when it first and last answered (UTC).
        answers: how many answers there were, by what was asked.
        updates: how many of them had weights.
        bytes: the size of all those weights together.
        failed: how many answers said that it could not be done.
    """

    first: str
    last: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    updates: int = 0
    bytes: int = 0
    failed: int = 0

    def take(self, answer: Answered) -> None:
        """Take in an answer of the run."""
        weights, kind = answer.fields.get("weights", {}), answer.receipt.kind
        self.last = answer.receipt.time
        self.answers[kind] = self.answers.get(kind, 0) + 1
        self.updates += bool(weights)
        self.bytes += weights.get("bytes", 0)
        self.failed += "failure" in answer.fields


def main(arguments: list[str] | None = None) -> int:
    """Show what this site does, did and sent; 1 if its record is not whole."""
    parser = Parser(prog="status", description=main.__doc__)
    add = parser.add_argument
    add("--records", type=Path, default=Path("/records"), help="the folder of the record")
    add("--key", type=Path, default=Path("/keys/site.key"), help="the site's key")
    add("--policy", type=Path, help="the site's own policy, policy.yaml; without: the defaults")
    add("--privacy", default="", help="differential privacy, as the site's file has it")
    add("--json", action="store_true", help="as JSON, for programs")
    options = parser.parse_args(arguments)
    rules = read_policy(options.policy)
    _, found = load(options.records, options.key)
    account = Ledger.look(options.key.with_suffix(".asked"))
    spent = privacy.said(options.privacy, rules.privacy, options.records, options.key)
    told = {
        "record": summary(found),
        "asked": _asked(found),
        "runs": _runs(found),
        "last": found.answers[-1] if found.answers else None,
        "failed": [one for one in found.answers if "failure" in one.fields][-_SHOWN:],
        "policy": used(rules, account),
        "privacy": spent,
    }
    print(_as_json(told) if options.json else "\n".join(_lines(told)))
    return 1 if found.faults else 0


def _asked(found: Reading) -> dict[str, Any] | None:
    """Return the instruction that has no answer yet; None if there is none."""
    if not found.lines or found.lines[-1].fields.get("event") != INSTRUCTION:
        return None
    said = found.lines[-1].fields
    told = json.loads(said["instruction"])
    names = ("run", "kind", "round", "model")
    return {"since": said["time"], **{name: told.get(name) for name in names}}


def _runs(found: Reading) -> dict[str, RunAtSite]:
    runs: dict[str, RunAtSite] = {}
    for answer in found.answers:
        name, time = answer.receipt.run, answer.receipt.time
        runs.setdefault(name, RunAtSite(time)).take(answer)
    return runs


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """Yield what a terminal shows."""
    asked, last = told["asked"], told["last"]
    if asked:
        what = "{kind}, round {round}, model {model}, run {run}".format(**asked)
        yield f"now:     {what}: asked at {asked['since']}, not answered yet"
    else:
        yield "now:     waits for instructions; whether it is connected is in the link's log"
    if last:
        yield f"last:    {_said(last)}"
    for name, run in told["runs"].items():
        kinds = ", ".join(f"{count} {kind}" for kind, count in run.answers.items())
        yield f"run:     {name}, {run.first} to {run.last}: answered {kinds}; {run.failed} failed"
        yield f"         sent {run.updates} updates, of {run.bytes} bytes in all"
    yield from (f"failed:  {_said(one)}" for one in told["failed"])
    yield f"policy:  {told['policy']}"
    if told["privacy"]:
        yield f"privacy: {told['privacy']}"
    yield f"record:  {told['record']}"


def _said(answer: Answered) -> str:
    """Say what an answer was, and what left with it."""
    receipt, weights = answer.receipt, answer.fields.get("weights", {})
    what = f"{receipt.time}: {receipt.kind}, round {receipt.round}, model {receipt.model}"
    if failure := answer.fields.get("failure"):
        why = " ".join(f"{name} {value}" for name, value in failure.items() if name != "reason")
        return f"{what}, run {receipt.run}: {failure['reason']}" + (f" ({why})" if why else "")
    left = [f"{weights['tensors']} tensors of {weights['bytes']} bytes"] if weights else []
    return f"{what}: left {'; '.join([*left, *counted(answer.fields)]) or 'nothing'}"


def _as_json(told: dict[str, Any]) -> str:
    last = told["last"]
    fields = {
        **told,
        "runs": {name: asdict(run) for name, run in told["runs"].items()},
        "last": _fields(last) if last else None,
        "failed": [_fields(one) for one in told["failed"]],
    }
    return json.dumps(fields, indent=2)


def _fields(answer: Answered) -> dict[str, Any]:
    """Return what JSON has of an answer."""
    said, receipt = answer.fields, answer.receipt
    about = {name: getattr(receipt, name) for name in ("time", "run", "kind", "round", "model")}
    sent = {name: said.get(name) for name in ("weights", "failure")}
    return {**about, **sent, "counts": counted(said)}
