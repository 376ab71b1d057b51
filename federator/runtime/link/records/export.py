"""A site's record as a table for its data protection officer: a row for each answer."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from federator.runtime.files import sha256
from federator.runtime.link.records.reading import Answered, Reading
from federator.runtime.protocol.privacy.account import PrivacyAccount
from federator.runtime.protocol.receipts import Receipt

COLUMNS = (
    "number", "time", "run", "round", "model", "instruction", "app", "instruction SHA-256",
    "tensors", "bytes", "update SHA-256", "examples", "counts", "epsilon so far", "delta",
    "failure", "receipt SHA-256",
)  # fmt: skip
_SHORT = (
    "time", "run", "round", "model", "instruction", "tensors", "bytes", "counts", "epsilon so far",
    "failure",
)  # fmt: skip
_MOST = 60  # characters of a cell of the short table


def as_csv(reading: Reading) -> str:
    """Return all that is known of each answer, the counts themselves as JSON."""
    out = io.StringIO()
    table = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(_rows(reading))
    return out.getvalue()


def as_markdown(reading: Reading) -> str:
    """Return a table to be read, with what was counted and without the counts."""
    rows = [_SHORT, ["---"] * len(_SHORT), *map(_short, reading.answers)]
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)


def _rows(reading: Reading) -> Iterator[dict[str, object]]:
    for line, said, receipt in reading.answers:
        asked, weights = reading.asked[line], said.get("weights", {})
        yield {
            "number": receipt.number,
            "time": receipt.time,
            "run": receipt.run,
            "round": receipt.round,
            "model": receipt.model,
            "instruction": receipt.kind,
            "app": asked["app"],
            "instruction SHA-256": sha256(asked["instruction"].encode()),
            "tensors": weights.get("tensors", 0),
            "bytes": weights.get("bytes", 0),
            "update SHA-256": receipt.update,
            "examples": json.dumps(said.get("examples", {})),
            "counts": json.dumps(_counts(said)),
            "epsilon so far": _epsilon(receipt),
            "delta": receipt.privacy.get("delta", ""),
            "failure": json.dumps(said["failure"]) if "failure" in said else "",
            "receipt SHA-256": sha256(receipt.statement),
        }


def _counts(said: dict[str, Any]) -> dict[str, Any]:
    """Return what of an answer are counts, by what they are of."""
    names = ("evaluations", "survey", "warnings", "unsigned")
    return {name: said[name] for name in names if name in said}


def _short(answer: Answered) -> Iterable[object]:
    said, receipt = answer.fields, answer.receipt
    weights = said.get("weights", {})
    return (
        receipt.time, receipt.run, receipt.round, receipt.model, receipt.kind,
        weights.get("tensors", 0), weights.get("bytes", 0), "; ".join(counted(said)),
        _epsilon(receipt), receipt.failure,
    )  # fmt: skip


def counted(said: dict[str, Any]) -> list[str]:
    """Return what an answer tells beside weights, by name and without the counts."""
    named = ["set sizes"] if "examples" in said else []
    for name, one in said.get("evaluations", {}).items():
        loss = ["loss"] if "loss" in one else []
        counts = ", ".join([*loss, *one.get("tables", {}), *one.get("metrics", {})])
        named.append(f"{name}: {counts}")
    return [*named, *(name for name in ("survey", "warnings") if name in said)]


def _epsilon(receipt: Receipt) -> str:
    """Return what had been spent of the privacy budget; empty without differential privacy."""
    if not receipt.privacy:
        return ""
    return f"{PrivacyAccount.of(receipt.privacy).epsilon:.3f}"


def _cell(value: object) -> str:
    text = str(value).replace("|", "\\|")
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
