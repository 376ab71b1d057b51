"""What the server tells a site to do, signed.

Flower's SuperLink does not compare the sender named in a message with the node that pushed it,
so one site could write to another. Each instruction is therefore signed by the coordinator
(Ed25519, RFC 8032) over the run, the receiving node, and every byte that comes with it; a site's
link acts on nothing else, and takes nothing apart before it has checked that.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federator.runtime.app_config import Setting
from federator.runtime.files import sha256
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.untrusted import MALFORMED, printable, read_json
from federator.runtime.weights.encoding import ENCODINGS, EXACT, MASKED
from federator.runtime.weights.parts import is_capability

FEDERATION = "federation"
"""The name of the global model, among the sites' names, in journals and instructions."""
PERSONAL = "personal"
"""The name, likewise, of the models that sites keep for themselves (Ditto): without weights."""
MOST_TEXT = 2**16
"""The most characters that an instruction takes."""
_MOST = 2**53
_FOLDER = re.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # what a model or a run may be called
_HASH = re.compile("[0-9a-f]{64}")


MOST_SETTINGS = 32
"""How many settings of a strategy's own an instruction may carry."""
_NAME, _LETTERS = 64, 200  # characters of a setting's


class InstructionError(ValueError):
    """An instruction that a site must not follow."""


class UnsignedInstruction(InstructionError):
    """An instruction that the coordinator has not signed, whoever wrote it."""


@dataclass(frozen=True)
class Instruction:
    """One thing for a site to do with the weights that come along.

    Attributes:
        kind: ``join`` (load the data and say how much there is), ``train``, ``evaluate``, or
            ``reveal`` (tell the seed of the own mask of the update that was sent last).
        round: the number of the round that the resulting weights will belong to.
        expires: seconds since the epoch after which nobody waits for the reply.
        model: ``federation``; the name of a site whose own model (baseline) this is; or
            ``personal``, for the model that each site keeps for itself, without weights.
        epochs: local epochs of training.
        seed: the federation's seed.
        sets: on which of ``train``, ``val`` and ``test`` the received weights are evaluated first.
        proximal_mu: weight of FedProx's proximal term, 0 for none.
        encoding: how weights travel, there and back; one of those in encoding.py.
        sites: to how many sites the server speaks; the more, the more seldom each should ask it.
        settings: what the strategy writes for ``train``, by the name of a parameter of that.
        counter: the capability of the site's notification counter (polling.py); empty for none.
        survey: whether a site that joins is asked to tell of its data (survey.py).
        run: the name of the run, under which a site keeps the tensors that stay there; the same
            where a run is resumed.
        journal: the hash of the last line of the run's journal, which the site's receipt repeats.
        masking: the terms on which updates are masked (runtime/masking/terms.py); empty for none.
    """

    kind: Literal["join", "train", "evaluate", "reveal"]
    round: int
    expires: float
    model: str = FEDERATION
    epochs: int = 0
    seed: int = 0
    sets: tuple[str, ...] = ()
    proximal_mu: float = 0.0
    encoding: str = EXACT
    sites: int = 1
    settings: Mapping[str, Setting] = field(default_factory=dict)
    counter: str = ""
    survey: bool = False
    run: str = ""
    journal: str = ""
    masking: str = ""

    def allowed(self, survey: bool) -> "Instruction":
        """Return what a worker is told: without a survey, if the site tells none, or masks."""
        encoding = EXACT if self.encoding == MASKED else self.encoding
        return replace(self, survey=self.survey and survey, encoding=encoding, masking="")

    def write(self) -> str:
        """Return the instruction as JSON, always the same for the same instruction."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def read(text: str) -> "Instruction":
        """Return the instruction written in JSON.

        Raises:
            InstructionError: if it is not one, or has lapsed.
        """
        try:
            found = read_json(text, MOST_TEXT)
            if not isinstance(found, dict):
                raise ValueError("not a mapping")
            instruction = Instruction(**{**found, "sets": _names(found["sets"])})
            for each in fields(instruction):
                _require_form(each.name, each.type, getattr(instruction, each.name))
        except MALFORMED as error:
            what = printable(f"{type(error).__name__}: {error}", 100)
            raise InstructionError(f"not an instruction: {what}") from None
        kinds = ("join", "train", "evaluate", "reveal")
        known = instruction.kind in kinds and instruction.sites > 0
        if not known or not set(instruction.sets) <= {"train", "val", "test"}:
            raise InstructionError(f"unknown instruction {printable(instruction.kind, 40)!r}")
        if instruction.encoding not in ENCODINGS:
            raise InstructionError(f"unknown encoding {printable(instruction.encoding, 40)!r}")
        if not _are_settings(instruction.settings):
            raise InstructionError("not settings for train")
        if instruction.counter and not is_capability(instruction.counter):
            raise InstructionError("not the name of a counter")
        if instruction.journal and not _HASH.fullmatch(instruction.journal):
            raise InstructionError("not the hash of a journal")
        if not is_name(instruction.model) or not (not instruction.run or is_name(instruction.run)):
            raise InstructionError("not the name of a model, or of a run")
        if instruction.expires < time.time():
            raise InstructionError("the instruction has lapsed (or the clocks differ)")
        return instruction


def is_name(text: str) -> bool:
    """Tell whether a text can name a folder, in no other place than it should be."""
    return _FOLDER.fullmatch(text) is not None


def _names(found: object) -> tuple[str, ...]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise TypeError("sets")
    return tuple(found)


def _require_form(name: str, kind: object, value: object) -> None:
    """Check that a field has its declared form, where JSON alone does not say so."""
    if kind is int:
        good = type(value) is int and 0 <= value <= _MOST
    elif kind is float:
        good = type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    elif kind is bool:
        good = type(value) is bool
    elif name == "kind" or kind is str:
        good = isinstance(value, str)
    else:
        good = True
    if not good:
        raise ValueError(name)


def is_setting(name: object, value: object) -> bool:
    """Tell whether an entry of a strategy's may travel: an identifier, and a plain short value."""
    if not isinstance(name, str) or not name.isidentifier() or len(name) > _NAME:
        return False
    if isinstance(value, str):
        return len(value) <= _LETTERS
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and abs(value) < 2**63  # bool, too


def _are_settings(value: object) -> bool:
    return (
        isinstance(value, dict)
        and len(value) <= MOST_SETTINGS
        and all(is_setting(*entry) for entry in value.items())
    )


def digest(files: str, arrays: str) -> str:
    """Return what of weights is signed: hashes of both ways in which they may come.

    Args:
        files: what a message says of its files.
        arrays: SHA-256 (hex) of the bytes that travel in it; empty if none do.
    """
    return f"{sha256(files.encode(errors='surrogatepass'))} {arrays}"


def statement(text: str, run_id: int, node_id: int, weights_digest: str) -> bytes:
    """Return what the coordinator signs of an instruction to one node."""
    lines = ["federator 2", str(run_id), str(node_id), weights_digest, text]
    return "\n".join(lines).encode(errors="surrogatepass")


def sign(
    key: Ed25519PrivateKey, text: str, run_id: int, node_id: int, weights_digest: str
) -> bytes:
    """Return the coordinator's signature of an instruction to one node."""
    return key.sign(statement(text, run_id, node_id, weights_digest))


def verify(
    keys: Sequence[CoordinatorKey],
    signature: bytes,
    text: str,
    run_id: int,
    node_id: int,
    weights_digest: str,
) -> CoordinatorKey:
    """Check an instruction's signature; return the key that made it.

    Raises:
        UnsignedInstruction: if it is not the coordinator's, for this node, run and weights.
        InstructionError: if that key has ended.
    """
    signed = statement(text, run_id, node_id, weights_digest)
    for key in keys:
        try:
            key.key.verify(signature, signed)
        except InvalidSignature:
            continue
        if key.ended:
            what = f"the coordinator's key {key.name} ended on {key.last_day}"
            raise InstructionError(f"{what}: this site needs a file with the next one")
        return key
    raise UnsignedInstruction("the coordinator has not signed this instruction")


def refuse_overrides(overrides: Mapping[str, object], allowed: frozenset[str]) -> None:
    """Check which settings of the app a run changes: they lie outside the app's hash.

    Raises:
        InstructionError: naming those that the site's file does not allow.
    """
    if changed := sorted(set(overrides) - allowed):
        raise InstructionError(f"the run changes settings this site does not allow: {changed}")
