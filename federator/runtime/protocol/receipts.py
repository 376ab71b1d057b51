"""A site's receipt: what it was asked and what it answered, signed with the site's key.

The server keeps it in its journal, where anybody who has the site's public key can check it: that
these counts and this update are the site's, and that the journal began as it did when the site was
asked. The site keeps the whole answer in its own record, a line of which the receipt names.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from federator.runtime.chain import signatures
from federator.runtime.files import sha256
from federator.runtime.protocol.disclosure import SETS
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Evaluation, Failure, Outcome
from federator.runtime.protocol.privacy.account import PrivacyAccount
from federator.runtime.untrusted import MALFORMED, read_json

_MOST_TEXT = 2**12  # characters of a receipt
_PURPOSE = b"federator receipt 1\n"


@dataclass(frozen=True)
class Receipt:
    """What a site says of one of its answers.

    Attributes:
        site: its name.
        run: the run's.
        number: which of the site's answers in this run it is, from 1.
        time: when, by the site's clock (ISO 8601, UTC).
        kind: of the instruction.
        round: likewise.
        model: likewise.
        journal: the hash of the journal's last line as the instruction gave it.
        record: the hash of the line in the site's own record.
        examples: numbers of examples of training, validation and test set; none in a failure.
        evaluations: by set, what :func:`evaluation_digest` returns.
        update: SHA-256 of the update: see :func:`update_digest`; empty without one.
        failure: why it did not do as it was told, a key of ``REASONS``; empty if it did.
        privacy: what was spent of the site's privacy budget then, as ``PrivacyAccount`` has it;
            empty without differential privacy.
    """

    site: str
    run: str
    number: int
    time: str
    kind: str
    round: int
    model: str
    journal: str
    record: str
    examples: tuple[int, ...] = ()
    evaluations: Mapping[str, str] = field(default_factory=dict)
    update: str = ""
    failure: str = ""
    privacy: Mapping[str, float] = field(default_factory=dict)

    def write(self) -> str:
        """Return the receipt as JSON, always the same for the same receipt."""
        said = {name: value for name, value in asdict(self).items() if value not in ("", (), {})}
        return json.dumps(said, sort_keys=True)

    @staticmethod
    def of(found: object) -> "Receipt":
        """Return the receipt of what JSON says; what it raises is one of ``MALFORMED``."""
        if not isinstance(found, Mapping):
            raise TypeError("receipt")
        receipt = Receipt(**{**found, "examples": tuple(found.get("examples", ()))})
        texts = {each.name for each in fields(Receipt) if each.type is str}
        if not all(isinstance(getattr(receipt, name), str) for name in texts):
            raise TypeError("receipt")
        if not all(type(n) is int for n in (receipt.number, receipt.round, *receipt.examples)):
            raise TypeError("receipt")
        digests = receipt.evaluations
        if not isinstance(digests, dict) or not all(isinstance(d, str) for d in digests.values()):
            raise TypeError("receipt")
        if receipt.privacy:
            PrivacyAccount.of(receipt.privacy)
        return receipt

    @property
    def statement(self) -> bytes:
        """What is signed."""
        return _PURPOSE + self.write().encode()


@dataclass(frozen=True)
class SignedReceipt:
    """A receipt, and the site's signature of it (runtime/chain/signatures.py)."""

    receipt: Receipt
    signature: str

    def is_signed_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Return whether the signature is this key's."""
        return signatures.is_sites(key, self.receipt.statement, self.signature)


def read(text: object, signature: object) -> SignedReceipt | None:
    """Return the receipt that a site sent; None if it is none."""
    try:
        if not isinstance(text, str) or not isinstance(signature, str):
            return None
        return SignedReceipt(Receipt.of(read_json(text, _MOST_TEXT)), signature[:128])
    except MALFORMED:
        return None


def evaluation_digest(fields: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of what a site sends of an evaluation.

    It is over JSON with sorted keys, in which every number is a float as Python writes it.

    Args:
        fields: by name, those of ``Evaluation``; those that are empty may be missing.
    """
    said = {
        "examples": float(fields["examples"]),
        "loss": None if (loss := fields.get("loss")) is None else float(loss),
        "metrics": {name: float(value) for name, value in fields.get("metrics", {}).items()},
        "tables": {
            name: [list(map(float, row)) for row in table]
            for name, table in fields.get("tables", {}).items()
        },
        "rounded": float(fields.get("rounded", 0)),
        "withheld": sorted(fields.get("withheld", ())),
    }
    if (noise := fields.get("noise")) is not None:
        said["noise"] = float(noise)
    return sha256(json.dumps(said, sort_keys=True).encode())


def digests(evaluations: Mapping[str, Evaluation]) -> dict[str, str]:
    """Return the digest of each evaluation, by set."""
    return {name: evaluation_digest(asdict(one)) for name, one in evaluations.items()}


def sizes(examples: Mapping[str, int]) -> tuple[int, ...]:
    """Return numbers of examples in the order in which a receipt has them."""
    return tuple(examples[name] for name in SETS)


def fault(
    signed: SignedReceipt | None,
    key: ec.EllipticCurvePublicKey | None,
    site: str,
    instruction: Instruction,
    answer: Outcome | Failure,
    update: str = "",
) -> str:
    """Return what is wrong with the receipt of an answer; empty if nothing is.

    Args:
        signed: the receipt.
        key: the site's.
        site: its name.
        instruction: what it was told.
        answer: what it answered.
        update: the digest of the update that came.
    """
    if key is None:
        return "there is no key of this site to check its receipt by"
    if signed is None:
        return "it gave no receipt"
    if not signed.is_signed_by(key):
        return "its receipt is not signed with its key"
    told, said = instruction, signed.receipt
    asked = (site, told.run, told.kind, told.round, told.model, told.journal)
    if (said.site, said.run, said.kind, said.round, said.model, said.journal) != asked:
        return "its receipt is of another instruction"
    if isinstance(answer, Failure):
        same = said.failure == answer.reason
    else:
        privacy = {} if answer.privacy is None else answer.privacy.fields()
        found = (sizes(answer.examples), digests(answer.evaluations), update, "", privacy)
        given = (said.examples, said.evaluations, said.update, said.failure, said.privacy)
        same = given == found
    return "" if same else "its receipt is of another answer"
