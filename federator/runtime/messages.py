"""How instructions and outcomes are laid out in Flower's messages.

An instruction is a ``ConfigRecord`` named ``config`` and, where weights go along, an
``ArrayRecord`` named ``arrays``. A reply has a ``ConfigRecord`` named ``site``, with the outcome as
plain numbers, and ``arrays`` after training. Where weights travel as files (parcels.py), ``config``
and ``site`` say of them what ``arrays`` would hold.

Each record is an object of its own to Flower, with requests of its own on each way.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isqrt

import flwr
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from federator.runtime import parcels
from federator.runtime.instructions import MOST_TEXT, Forged
from federator.runtime.notices import Notice
from federator.runtime.outcomes import Evaluation, Failure, Outcome, Scores
from federator.runtime.parcels import Parcel, ParcelError, Table, read_table, write_table
from federator.runtime.untrusted import MALFORMED, printable
from federator.runtime.weights import Weights, WeightsError, read_from, write

_FAILED = 2023  # none of Flower's own error codes
_LOST = (ErrorCode.MESSAGE_UNAVAILABLE, ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
         ErrorCode.NODE_UNAVAILABLE)  # fmt: skip
_PACKED = "safetensors"
_SETS = {"num-examples": "trainset", "num-examples-val": "valset", "num-examples-test": "testset"}


@dataclass(frozen=True)
class Received:
    """What a message holds, as its bytes came: nothing of it has been taken apart.

    Attributes:
        instruction: the instruction's text.
        signature: that the coordinator is said to have given to all the others.
        files: what the message says of weights that travel as files (parcels.py); else empty.
        arrays: the weights that travel in the message, in the safetensors format; None if none do.
    """

    instruction: str
    signature: bytes = b""
    files: str = ""
    arrays: bytes | None = None

    @staticmethod
    def of(message: Message) -> "Received":
        """Return what a message holds.

        Raises:
            Forged: if it has not the form of an instruction's message, whatever it has.
        """
        try:
            return _received(message.content)
        except MALFORMED as error:
            what = printable(f"{type(error).__name__}: {error}", 100)
            raise Forged(f"the message carries no instruction ({what})") from None

    @property
    def digest(self) -> str:
        """What of the weights is signed."""
        return digest(self.files, "" if self.arrays is None else sha256(self.arrays).hexdigest())

    @property
    def parcel(self) -> Parcel | None:
        """What the message says of weights that travel as files, if they do.

        Raises:
            ParcelError: if it does not say it properly.
        """
        return Parcel.read(self.files) if self.files else None

    @property
    def weights(self) -> Weights | None:
        """The weights that travel in the message, as views of what came; None if none do.

        Raises:
            WeightsError: if they are not in the safetensors format.
        """
        return None if self.arrays is None else read_from(self.arrays)


def digest(files: str, arrays: str) -> str:
    """Return what of weights is signed: hashes of both ways in which they may come.

    Args:
        files: what a message says of its files.
        arrays: SHA-256 (hex) of the bytes that travel in it; empty if none do.
    """
    return f"{sha256(files.encode(errors='surrogatepass')).hexdigest()} {arrays}"


def _received(content: RecordDict) -> Received:
    """Return what a message's content holds; what it raises is one of ``MALFORMED``."""
    config = content.config_records["config"]
    instruction, signature = config["instruction"], config.get("signature", b"")
    files, arrays = config.get("parcel", ""), content.array_records.get("arrays")
    if not (isinstance(instruction, str) and isinstance(files, str)):
        raise TypeError("instruction")
    if not isinstance(signature, bytes):
        raise TypeError("signature")
    if len(instruction) > MOST_TEXT or len(files) > parcels.MOST_TEXT:
        raise ValueError("too long")
    return Received(instruction, signature, files, None if arrays is None else packed_in(arrays))


def to_record(weights: Weights) -> ArrayRecord:
    """Put weights into a Flower message's record, as one array of bytes.

    Flower asks for each array on its own, several requests apiece; a model has dozens.
    """
    packed = io.BytesIO()
    write(packed, weights)
    data = packed.getvalue()
    return ArrayRecord({_PACKED: Array("uint8", (len(data),), _PACKED, data)})


def packed_in(record: ArrayRecord) -> bytes:
    """Return the bytes that :func:`to_record` put into a record.

    Raises:
        WeightsError: if it did not make it.
    """
    if list(record) != [_PACKED] or not isinstance(data := record[_PACKED].data, bytes):
        raise WeightsError("the message's weights are not in the safetensors format")
    return data


def instruction_record(text: str, signature: bytes, files: str = "") -> ConfigRecord:
    """Return the record that carries an instruction, its signature, and where its weights are."""
    said: dict[str, str | bytes] = {"instruction": text, "signature": signature}
    return ConfigRecord({**said, "parcel": files} if files else {**said})


def weights_in(content: RecordDict) -> Weights | None:
    """Return the weights in a reply's content, if any.

    Raises:
        WeightsError: if they are not in the safetensors format.
    """
    record = content.array_records.get("arrays")
    return None if record is None else read_from(packed_in(record))


def site_record(
    site: str, files: bool = False, table: Table = (), forged: int = 0, fetched: int = 0
) -> ConfigRecord:
    """Return what a site says of itself, and of the files that it has fetched and sent.

    That is its name, which Flower it speaks, whether weights may travel as files beside messages,
    how many instructions it refused that the coordinator had not signed, and how many bytes of a
    model that travelled so it fetched; and of such an update, the table of its parts.
    """
    said: dict[str, bool | int | str] = {"name": site, "flwr": flwr.__version__}
    said |= {"files": files, "forged": forged, "fetched": fetched}
    return ConfigRecord({**said, "parts": write_table(table)} if table else {**said})


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


def table_in(content: RecordDict) -> Table | None:
    """Return the table of the parts that a site says it has sent, if any.

    Raises:
        WeightsError: if it is not one.
    """
    record = content.config_records.get("site")
    if record is None or "parts" not in record:
        return None
    try:
        return read_table(str(record["parts"]))
    except ParcelError as error:
        raise WeightsError(str(error)) from None


def site_name(content: RecordDict) -> str:
    """Return the name that a site gives itself, empty if it gives none."""
    record = content.config_records.get("site")
    return str(record["name"]) if record is not None and "name" in record else ""


def numbers(outcome: Outcome) -> dict[str, int | float | list[int] | list[float] | list[str]]:
    """Return an outcome as flat numbers and lists of numbers; its warnings as JSON."""
    flat: dict[str, int | float | list[int] | list[float] | list[str]] = {
        key: outcome.examples[name] for key, name in _SETS.items()
    }
    for name, evaluation in outcome.evaluations.items():
        flat[f"{name}.loss"] = evaluation.loss
        flat[f"{name}.counts"] = [cell for row in evaluation.counts for cell in row]
        for metric, value in evaluation.metrics.items():
            flat[f"{name}.metric.{metric}"] = value
        if evaluation.scores is not None:
            flat[f"{name}.scores"] = [c for row in evaluation.scores["counts"] for c in row]
    if outcome.warnings:
        flat["warnings"] = [notice.write() for notice in outcome.warnings]
    return flat


def outcome_in(content: RecordDict) -> Outcome:
    """Return the outcome in a reply's content.

    Raises:
        Failure: ``unknown``, if it is not of that form.
    """
    record: Mapping[str, object] = content.config_records.get("site", {})
    try:
        examples = {name: int(record[key]) for key, name in _SETS.items()}  # type: ignore[call-overload]
        names = [key.removesuffix(".counts") for key in record if key.endswith(".counts")]
        evaluations = {name: _read_evaluation(name, record) for name in names}
        return Outcome(examples, evaluations, _read_warnings(record.get("warnings", [])))
    except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError):
        raise Failure("unknown") from None


def _read_evaluation(name: str, record: Mapping[str, object]) -> Evaluation:
    counts = _rows(record[f"{name}.counts"], None)
    scores: Scores | None = None
    if f"{name}.scores" in record:
        binned = _rows(record[f"{name}.scores"], 2)
        scores = {"bins": len(binned[0]), "counts": binned}
    prefix = f"{name}.metric."
    return Evaluation(
        counts,
        float(record[f"{name}.loss"]),  # type: ignore[arg-type]
        sum(map(sum, counts)),
        {k.removeprefix(prefix): float(v) for k, v in record.items() if k.startswith(prefix)},  # type: ignore[arg-type]
        scores,
    )


def _read_warnings(written: object) -> tuple[Notice, ...]:
    found = written if isinstance(written, list) else []
    notices = (Notice.of(json.loads(str(text))) for text in found)
    return tuple(notice for notice in notices if notice is not None)


def _rows(flat: object, rows: int | None) -> list[list[int]]:
    if not isinstance(flat, list):
        raise TypeError
    cells = [int(cell) for cell in flat]
    count = isqrt(len(cells)) if rows is None else rows
    width, rest = divmod(len(cells), count)
    if rest or min(cells) < 0 or (rows is None and width != count):
        raise ValueError
    return [cells[i * width : (i + 1) * width] for i in range(count)]


def failure_reply(failure: Failure, message: Message, site: str) -> Message:
    """Return the reply in which a site tells a failure."""
    return Message(Error(_FAILED, json.dumps([site, failure.write()])), reply_to=message)


def read_failure(error: Error) -> tuple[str, Failure]:
    """Return the site's name and its failure, from a link's error reply or a stock SuperNode's.

    The name is empty where Flower itself tells of an error: ``lost``, if the site is gone, else
    ``unknown``.
    """
    if error.code in _LOST:
        return "", Failure("lost")
    text = error.reason or ""
    if error.code != _FAILED:  # a stock SuperNode has <class 'RuntimeError'>:<'[…]'>
        text = text[text.find("[") : text.rfind("]") + 1]
    try:
        site, told = json.loads(text)
        return str(site), Failure.read(told)
    except (ValueError, TypeError):
        return "", Failure("unknown")


def outcome_reply(
    message: Message, site: ConfigRecord, outcome: Outcome, weights: Weights | None = None
) -> Message:
    """Return the reply in which a site tells an outcome, with what it says of itself."""
    content = RecordDict({"site": ConfigRecord({**site, **numbers(outcome)})})
    if weights is not None:
        content["arrays"] = to_record(weights)
    return Message(content, reply_to=message)
