"""Reads a site's record, and checks each line: its place, its signature, and what it belongs to."""

import base64
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from federator.runtime.chain import lines, signatures
from federator.runtime.chain.lines import ChainedLine
from federator.runtime.keys.site_key import fingerprint, public_in
from federator.runtime.link.records.entries import ANSWER, INSTRUCTION, KEYS, receipt_of
from federator.runtime.protocol.instructions import statement
from federator.runtime.protocol.receipts import Receipt, SignedReceipt
from federator.runtime.untrusted import MALFORMED, read_json

_MOST_TEXT = 2**17  # characters of an instruction


class Fault(NamedTuple):
    """What is wrong with a line of a file, which is counted from 1."""

    line: int
    what: str


class Answered(NamedTuple):
    """An answer's line: its number, what it says, and the receipt that was given for it."""

    line: int
    fields: dict[str, Any]
    receipt: Receipt


@dataclass
class Reading:
    """What a record says, as far as its lines fit.

    Attributes:
        lines: the lines, as they were written.
        answers: those of answers, with a signature of the site's.
        asked: by the line of an answer, that of the instruction.
        keys: fingerprints of the site's keys, the present one last.
        faults: what is wrong, the first line first.
        notes: what is not wrong, and should be known.
    """

    lines: list[ChainedLine] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    asked: dict[int, dict[str, Any]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Check:
    """Goes through the lines of a record."""

    def __init__(self) -> None:
        self.found = Reading()
        self.public: ec.EllipticCurvePublicKey | None = None
        self._site, self._coordinator = "", list[str]()
        self._asked: ChainedLine | None = None
        self._numbers = Counter[str]()

    def take(self, line: ChainedLine) -> str:
        """Take in a line; return what is wrong with it, if anything is."""
        kinds: dict[object, Callable[[ChainedLine], str]] = {
            KEYS: self._keys,
            INSTRUCTION: self._instruction,
            ANSWER: self._answer,
        }
        take = kinds.get(line.fields.get("event"))
        if take is None or (self.public is None and take != self._keys):
            return "is none of a record's, or stands before the site's key"
        try:
            return take(line)
        except MALFORMED as error:
            return f"has another form than a record's ({type(error).__name__})"

    def end(self) -> None:
        """Note what is open at the end."""
        if self._asked is not None:
            self._unanswered(self._asked)

    def _keys(self, line: ChainedLine) -> str:
        said = line.fields
        key = public_in(said["public"].encode())
        if key is None or self._site not in ("", said["site"]):
            return "names no key of this site"
        self.public, self._site = key, said["site"]
        self._coordinator = [text.rpartition(":")[2] for text in said["coordinator"]]
        if (shown := fingerprint(key)) not in self.found.keys[-1:]:
            self.found.keys.append(shown)
        return ""

    def _instruction(self, line: ChainedLine) -> str:
        said = line.fields
        if self._asked is not None:
            self._unanswered(self._asked)
        self._asked = line
        run, node, text, weights = (
            said[k] for k in ("flower_run", "node", "instruction", "weights")
        )
        signed = statement(text, run, node, weights)
        for key in self._coordinator:
            public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
            if signatures.is_coordinators(public, signed, said["signature"]):
                return ""
        return "is an instruction that the coordinator has not signed"

    def _answer(self, line: ChainedLine) -> str:
        said, asked, self._asked = line.fields, self._asked, None
        receipt = receipt_of(said, self._site, line.before)
        signed = SignedReceipt(receipt, said["signature"])
        if self.public is None or not signed.is_signed_by(self.public):
            return "is an answer that is not signed with the site's key"
        self._numbers[receipt.run] += 1
        if receipt.number != self._numbers[receipt.run]:
            return f"is answer {receipt.number}, and should be {self._numbers[receipt.run]}"
        if asked is None:
            return "is an answer to no instruction"
        told = read_json(asked.fields["instruction"], _MOST_TEXT)
        names = ("run", "kind", "round", "model", "journal")
        if not isinstance(told, dict) or any(told[k] != getattr(receipt, k) for k in names):
            return "is the answer to another instruction than the one before it"
        self.found.answers.append(Answered(line.number, said, receipt))
        self.found.asked[line.number] = asked.fields
        return ""

    def _unanswered(self, asked: ChainedLine) -> None:
        self.found.notes.append(
            f"line {asked.number}: there is no answer to this instruction: the link ended "
            "meanwhile; parts of an update may have left"
        )


def read(
    content: bytes, public: ec.EllipticCurvePublicKey | None = None, noted: str = ""
) -> Reading:
    """Return what a record says, and what is wrong with it.

    Args:
        content: the record's.
        public: the site's present key; None where it is not known.
        noted: what the link has noted elsewhere: the number of lines, and the last one's hash.
    """
    found, check = lines.read(content), _Check()
    reading = check.found
    reading.lines = found.good
    for line in found.good:
        if wrong := check.take(line):
            reading.faults.append(Fault(line.number, wrong))
    check.end()
    after = len(found.good) + 1
    if found.fault is not None:
        reading.faults.append(Fault(*found.fault))
    if noted:
        count, chain = lines.noted(noted)
        if after <= count:
            what = f"is not there: the link has noted {count} lines"
            reading.faults.append(Fault(after, what))
        elif not count:
            reading.faults.append(Fault(1, "is not in the link's note, which is lost"))
        elif found.good[count - 1].chain != chain:
            reading.faults.append(Fault(count, "is another one than the link has noted"))
    if public is not None and reading.keys[-1:] != [fingerprint(public)]:
        reading.faults.append(Fault(after, "should follow: the record ends with another key"))
    reading.faults.sort()
    return reading
