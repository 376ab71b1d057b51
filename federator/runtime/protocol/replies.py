"""How a site's answers are laid out in Flower's messages, and read by the server.

A reply has a ``ConfigRecord`` named ``site``: what the site says of itself, the outcome as plain
numbers, its warnings as JSON; and ``arrays`` after training (messages.py), or of files the table of
their parts. A failure is an error's reason. The server believes none of it: it reads what may leave
a site by the rules by which that lets it out (disclosure.py), and everything else is a failure.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict

import flwr
from flwr.app import ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from federator.runtime.files import sha256
from federator.runtime.protocol import receipts, survey
from federator.runtime.protocol.disclosure import Policy, filter_failure, filter_outcome
from federator.runtime.protocol.evaluation.tables import Form
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.masking_replies import MaskingReply
from federator.runtime.protocol.messages import packed_in, to_record
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.receipts import SignedReceipt
from federator.runtime.untrusted import MALFORMED, printable, read_json
from federator.runtime.weights.format import Weights, WeightsError
from federator.runtime.weights.parts import ManifestError, Parts, read_parts, write_parts

_FAILED = 2023  # none of Flower's own error codes
_LOST = (ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
         ErrorCode.NODE_UNAVAILABLE)  # fmt: skip
_SETS = {"num-examples": "trainset", "num-examples-val": "valset", "num-examples-test": "testset"}
_MOST_TEXT = 2**14  # characters of a failure or a warning
_MOST_NAME = 64
NO_MESSAGE = "what it sent is no message"
"""What stands in the error that takes the place of a reply that could not be taken apart."""


def site_record(
    site: str,
    files: bool = False,
    parts: Parts = (),
    forged: int = 0,
    fetched: int = 0,
    receipt: SignedReceipt | None = None,
    masking: MaskingReply | None = None,
) -> ConfigRecord:
    """Return what a site says of itself, and of the files that it has fetched and sent.

    That is its name, which Flower it speaks, whether weights may travel as files beside messages,
    how many instructions it refused that the coordinator had not signed, and how many bytes of a
    model that travelled so it fetched; of such an update, the table of its parts; a receipt; and
    what it says for secure aggregation.
    """
    said: dict[str, bool | int | str] = {"name": site, "flwr": flwr.__version__}
    said |= {"files": files, "forged": forged, "fetched": fetched}
    if parts:
        said["parts"] = write_parts(parts)
    if receipt is not None:
        said |= {"receipt": receipt.receipt.write(), "signature": receipt.signature}
    if masking is not None:
        said |= masking.fields
    return ConfigRecord({**said})


def receipt_in(reply: Message) -> SignedReceipt | None:
    """Return the receipt of a reply, of an outcome or a failure; None if it has none."""
    if reply.has_error():
        found = _failed(reply.error)
        return receipts.read(*found[2:4]) if len(found) == 4 else None
    record: Mapping[str, object] = reply.content.config_records.get("site", {})
    return receipts.read(record.get("receipt"), record.get("signature"))


def update_digest_in(content: RecordDict, by_files: bool) -> str:
    """Return the SHA-256 (hex) of the update in a reply's content, whose form has been checked."""
    if by_files:
        return update_digest(parts_in(content) or ())
    return sha256(packed_in(content.array_records["arrays"]))


def update_digest(parts: Parts, weights: Weights | None = None) -> str:
    """Return the SHA-256 (hex) of an update: of its list of parts, as JSON, else of its bytes."""
    if parts:
        return sha256(write_parts(parts).encode())
    return "" if weights is None else sha256(packed_in(to_record(weights)))


def takes_files(content: RecordDict) -> bool:
    """Tell whether a site says that weights may travel as files; stock SuperNodes do not."""
    record = content.config_records.get("site")
    return record is not None and record.get("files") is True


def forged_in(content: RecordDict) -> int:
    """Return how many forged instructions a site says that it refused."""
    return _number_in(content, "forged")


def fetched_in(content: RecordDict) -> int:
    """Return how many bytes of the model a site says that it fetched as files."""
    return _number_in(content, "fetched")


def _number_in(content: RecordDict, name: str) -> int:
    record = content.config_records.get("site")
    said = None if record is None else record.get(name)
    return said if type(said) is int and said >= 0 else 0


def parts_in(content: RecordDict) -> Parts | None:
    """Return the list of the parts that a site says it has sent, if any.

    Raises:
        WeightsError: if it is not one.
    """
    record = content.config_records.get("site")
    if record is None or "parts" not in record:
        return None
    try:
        return read_parts(str(record["parts"]))
    except ManifestError as error:
        raise WeightsError(str(error)) from None


def site_name(content: RecordDict) -> str:
    """Return the name that a site gives itself, empty if it gives none."""
    record = content.config_records.get("site")
    return _name(record.get("name", "") if record is not None else "")


def _name(said: object) -> str:
    return printable(said, _MOST_NAME) if isinstance(said, str) else ""


def numbers(
    outcome: Outcome,
) -> dict[str, int | float | str | list[int] | list[float] | list[str]]:
    """Return an outcome as flat numbers and lists of numbers; what has parts of its own as JSON."""
    flat: dict[str, int | float | str | list[int] | list[float] | list[str]] = {
        key: outcome.examples[name] for key, name in _SETS.items()
    }
    for name, evaluation in outcome.evaluations.items():
        if evaluation.loss is not None:
            flat[f"{name}.loss"] = evaluation.loss
        if evaluation.noise is not None:
            flat[f"{name}.noise"] = evaluation.noise
        flat[f"{name}.examples"] = evaluation.examples
        for table, rows in evaluation.tables.items():
            cells = [cell for row in rows for cell in row]
            whole = all(isinstance(cell, int) for cell in cells)
            flat[f"{name}.table.{table}"] = cells if whole else list(map(float, cells))
        if evaluation.withheld:
            flat[f"{name}.withheld"] = list(evaluation.withheld)
        if evaluation.rounded:
            flat[f"{name}.rounded"] = evaluation.rounded
        for metric, value in evaluation.metrics.items():
            flat[f"{name}.metric.{metric}"] = value
    if outcome.warnings:
        flat["warnings"] = [notice.write() for notice in outcome.warnings]
    if outcome.survey is not None:
        flat["survey"] = outcome.survey.write()
    for said in ("spending", "privacy"):
        if (one := getattr(outcome, said)) is not None:
            flat[said] = json.dumps(asdict(one))
    return flat


def outcome_in(content: RecordDict, sets: tuple[str, ...], policy: Policy) -> Outcome:
    """Return the outcome in a reply's content, by the rules of what may leave a site.

    Args:
        content: the reply's.
        sets: those of which an evaluation was asked for.
        policy: the federation's.

    Raises:
        Failure: ``rejected``, if it is not of that form.
    """
    record: Mapping[str, object] = content.config_records.get("site", {})
    evaluations = {name: _read_evaluation(name, record, policy.task) for name in sets}
    answer = {
        "examples": {name: record.get(key) for key, name in _SETS.items()},
        "evaluations": evaluations,
        "warnings": _read_warnings(record.get("warnings")),
        **{said: survey.unpacked(record.get(said)) for said in ("survey", "spending", "privacy")},
    }
    try:
        return filter_outcome(answer, sets, policy)
    except Failure as failure:
        raise Failure("rejected", failure.type) from None


def _read_evaluation(name: str, record: Mapping[str, object], task: Task) -> dict[str, object]:
    """Return an evaluation as a worker hands it over; what it holds is still to be vetted."""
    prefix = f"{name}.metric."
    return {
        "tables": {
            table: _rows(record[key], form)
            for table, form in task.forms.items()
            if (key := f"{name}.table.{table}") in record
        },
        "loss": record.get(f"{name}.loss"),
        "examples": record.get(f"{name}.examples"),
        "metrics": {k.removeprefix(prefix): v for k, v in record.items() if k.startswith(prefix)},
        "withheld": record.get(f"{name}.withheld"),
        "rounded": record.get(f"{name}.rounded"),
        "noise": record.get(f"{name}.noise"),
    }


def _read_warnings(written: object) -> list[object]:
    found = []
    for text in written if isinstance(written, list) else []:
        try:
            found.append(read_json(text, _MOST_TEXT))
        except MALFORMED:
            continue
    return found


def _rows(flat: object, form: Form) -> list[list[object]]:
    """Return a flat list as the rows of a table of one of a form's sizes; none if it has no such.

    The sizes of a form differ in their number of cells, so that this one tells them apart.
    """
    if not isinstance(flat, list):
        return []
    columns = next((size[1] for size in form.sizes if size[0] * size[1] == len(flat)), 0)
    return [flat[start : start + columns] for start in range(0, len(flat), columns or 1)]


def failure_reply(
    failure: Failure, message: Message, site: str, receipt: SignedReceipt | None = None
) -> Message:
    """Return the reply in which a site tells a failure."""
    said = [site, failure.write()]
    if receipt is not None:
        said += [receipt.receipt.write(), receipt.signature]
    return Message(Error(_FAILED, json.dumps(said)), reply_to=message)


def read_failure(error: Error) -> tuple[str, Failure]:
    """Return the site's name and its failure, from a link's error reply or a stock SuperNode's.

    The name is empty where Flower itself tells of an error: ``lost``, if the site is gone, else
    ``unknown``; and ``rejected`` where what came is no message.
    """
    text = error.reason or ""
    if error.code in _LOST:
        return "", Failure("rejected", NO_MESSAGE) if NO_MESSAGE in text else Failure("lost")
    try:
        found = _failed(error)
        site, told = found[:2] if len(found) > 1 else ("", found[0])
        return _name(site), filter_failure(asdict(Failure.read(str(told))), by_link=True)
    except MALFORMED:
        return "", Failure("unknown")


def _failed(error: Error) -> list[object]:
    """Return what an error's reason lists; nothing if it does not list anything."""
    text = error.reason or ""
    if error.code != _FAILED:  # a stock SuperNode has <class 'RuntimeError'>:<'[…]'>
        text = text[text.find("[") : text.rfind("]") + 1]
    try:
        found = read_json(text, _MOST_TEXT)
    except MALFORMED:
        return []
    return found if isinstance(found, list) else [found]


def outcome_reply(
    message: Message, site: ConfigRecord, outcome: Outcome, weights: Weights | None = None
) -> Message:
    """Return the reply in which a site tells an outcome, with what it says of itself."""
    content = RecordDict({"site": ConfigRecord({**site, **numbers(outcome)})})
    if weights is not None:
        content["arrays"] = to_record(weights)
    return Message(content, reply_to=message)
