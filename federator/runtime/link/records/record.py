"""Writes a site's record: a line before an instruction is followed, and one before it is answered.

What cannot be recorded does not leave.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from federator.runtime import files
from federator.runtime.chain import lines, signatures
from federator.runtime.keys.site_key import line as key_line
from federator.runtime.link.fleet import Run
from federator.runtime.link.records import entries
from federator.runtime.link.records.entries import ANSWER, INSTRUCTION, KEYS, Fields
from federator.runtime.link.records.leaving import LeftWeights
from federator.runtime.protocol.instructions import Instruction, InstructionError
from federator.runtime.protocol.messages import Received
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.receipts import SignedReceipt

log = logging.getLogger("federator")


class Unrecorded:
    """No record: of a site on the author's own machine that has no key."""

    def begin(self, received: Received, instruction: Instruction, run: Run, node_id: int) -> None:
        """Do nothing."""

    def answer(
        self, answer: Outcome | Failure, update: LeftWeights | None = None, unsigned: int = 0
    ) -> SignedReceipt | None:
        """Return no receipt."""
        del answer, update, unsigned
        return None

    def failure(self, failure: Failure, unsigned: int = 0) -> tuple[Failure, SignedReceipt | None]:
        """Record a failure; return it, or another if it cannot be recorded, and the receipt."""
        try:
            return failure, self.answer(failure, unsigned=unsigned)
        except InstructionError as error:
            log.error("%s", error)
            return Failure("refused", str(error)), None


class Record(Unrecorded):
    """A site's record in a folder, which this process alone writes.

    Args:
        site: the site's name.
        key: with which answers are signed.
        coordinator: the public keys whose signatures the link takes, as its options say.
        folder: where the record is.
        noted: a file elsewhere, in which the record's last line is noted: so a record that was cut
            short, or is gone, is found. None for no such note.

    Raises:
        OSError: if it cannot be read or written.
    """

    def __init__(
        self,
        site: str,
        key: ec.EllipticCurvePrivateKey,
        coordinator: Sequence[str],
        folder: Path,
        noted: Path | None = None,
    ) -> None:
        self._site, self._key, self._noted = site, key, noted
        self._file = folder / entries.FILE
        self._answers = Counter[str]()  # by run
        self._layouts = set[str]()  # of which the record has the tensors already
        self._asked: Instruction | None = None
        found = lines.read(self._file.read_bytes() if self._file.exists() else b"")
        if found.broken:
            log.error("%s: was changed at line %d: record verify", self._file, found.broken)
        self._count, last = len(found.good), {}
        for line in found.good:
            self._remember(line.fields)
            if line.fields["event"] == KEYS:
                last = line.fields
        public = key_line(key.public_key(), site)
        own: Fields = {"site": site, "public": public, "coordinator": list(coordinator)}
        if not own.items() <= last.items():
            self._write({"event": KEYS, "time": entries.now(), **own})

    def begin(self, received: Received, instruction: Instruction, run: Run, node_id: int) -> None:
        """Record an instruction before it is followed, with the coordinator's signature.

        Raises:
            InstructionError: if it cannot be recorded; then it must not be followed.
        """
        fields: Fields = {
            "event": INSTRUCTION,
            "time": entries.now(),
            "run": instruction.run,
            "flower_run": run.run_id,
            "node": node_id,
            "app": run.app_hash,
            "instruction": received.instruction,
            "weights": received.digest,
            "signature": signatures.as_text(received.signature),
        }
        self._try(fields, durable=False)
        self._asked = instruction

    def answer(
        self,
        answer: Outcome | Failure,
        update: LeftWeights | None = None,
        unsigned: int = 0,
    ) -> SignedReceipt | None:
        """Record what now leaves, and return the receipt; None where nothing signed was asked.

        Args:
            answer: what is said.
            update: the weights that go along.
            unsigned: how many messages were refused before, since the coordinator had not signed
                them; they have no lines of their own.

        Raises:
            InstructionError: if it cannot be recorded; then it must not leave.
        """
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        number = self._answers[asked.run] + 1
        fields = entries.answered(asked, number, answer, update)
        if unsigned:
            fields["unsigned"] = unsigned
        if update is not None and fields["weights"]["layout"] not in self._layouts:
            fields["layout"] = update.layout
        return self._try(fields, durable=True)

    def _try(self, fields: Fields, durable: bool) -> SignedReceipt | None:
        try:
            signed = self._write(fields, durable)
        except OSError as error:
            what = f"it cannot be recorded ({error.strerror}: {self._file})"
            raise InstructionError(what) from None
        self._remember(fields)
        return signed

    def _write(self, fields: Fields, durable: bool = True) -> SignedReceipt | None:
        """Append a line, signed if it is an answer's, and note elsewhere that it is the last."""
        signed = None
        with lines.appending(self._file) as file:
            if fields["event"] == ANSWER:
                receipt = entries.receipt_of(fields, self._site, file.before)
                signed = SignedReceipt(receipt, signatures.by_site(self._key, receipt.statement))
                fields = {**fields, "signature": signed.signature}
            chain = file.write(lines.body_of(fields), durable)
        self._count += 1
        if self._noted is not None and durable:
            files.write(self._noted, lines.note(self._count, chain))
        return signed

    def _remember(self, fields: Mapping[str, object]) -> None:
        if fields.get("event") == ANSWER:
            self._answers[str(fields.get("run"))] += 1
            weights = fields.get("weights")
            if isinstance(weights, dict):
                self._layouts.add(str(weights.get("layout")))
