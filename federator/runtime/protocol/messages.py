"""How instructions are laid out in Flower's messages, and weights in those and in replies.

An instruction is a ``ConfigRecord`` named ``config`` and, where weights go along, an
``ArrayRecord`` named ``arrays``. Where weights travel as files (parts.py), ``config`` says of
them what ``arrays`` would hold.

Each record is an object of its own to Flower, with requests of its own on each way.
"""

import io
from dataclasses import dataclass
from functools import cached_property

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from federator.runtime.files import sha256
from federator.runtime.protocol.instructions import MOST_TEXT, UnsignedInstruction, digest
from federator.runtime.untrusted import MALFORMED, printable
from federator.runtime.weights import parts
from federator.runtime.weights.format import Weights, WeightsError, read_from, write
from federator.runtime.weights.parts import PartsManifest

_PACKED = "safetensors"


@dataclass(frozen=True)
class Received:
    """What a message holds, as its bytes came: nothing of it has been taken apart.

    Attributes:
        instruction: the instruction's text.
        signature: that the coordinator is said to have given to all the others.
        files: what the message says of weights that travel as files (parts.py); else empty.
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
            UnsignedInstruction: if it has not the form of an instruction's message.
        """
        try:
            return _received(message.content)
        except MALFORMED as error:
            what = printable(f"{type(error).__name__}: {error}", 100)
            raise UnsignedInstruction(f"the message carries no instruction ({what})") from None

    @cached_property
    def hashed(self) -> str:
        """SHA-256 (hex) of the weights that travel in the message; empty if none do."""
        return "" if self.arrays is None else sha256(self.arrays)

    @property
    def digest(self) -> str:
        """What of the weights is signed."""
        return digest(self.files, self.hashed)

    @property
    def manifest(self) -> PartsManifest | None:
        """What the message says of weights that travel as files, if they do.

        Raises:
            ManifestError: if it does not say it properly.
        """
        return PartsManifest.read(self.files) if self.files else None

    @property
    def weights(self) -> Weights | None:
        """The weights that travel in the message, as views of what came; None if none do.

        Raises:
            WeightsError: if they are not in the safetensors format.
        """
        return None if self.arrays is None else read_from(self.arrays)


def _received(content: RecordDict) -> Received:
    """Return what a message's content holds; what it raises is one of ``MALFORMED``."""
    config = content.config_records["config"]
    instruction, signature = config["instruction"], config.get("signature", b"")
    files, arrays = config.get("manifest", ""), content.array_records.get("arrays")
    if not (isinstance(instruction, str) and isinstance(files, str)):
        raise TypeError("instruction")
    if not isinstance(signature, bytes):
        raise TypeError("signature")
    if len(instruction) > MOST_TEXT or len(files) > parts.MOST_TEXT:
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
    return ConfigRecord({**said, "manifest": files} if files else {**said})


def weights_in(content: RecordDict) -> Weights | None:
    """Return the weights in a reply's content, if any.

    Raises:
        WeightsError: if they are not in the safetensors format.
    """
    record = content.array_records.get("arrays")
    return None if record is None else read_from(packed_in(record))
