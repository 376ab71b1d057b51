"""A site's masks: made for one attempt at a round, and revealed once a round.

Of an attempt the link keeps the seed of the site's own mask, in memory only. What it sends is of
use to nobody before that seed is revealed, and it reveals the newest attempt's alone.
"""

import logging
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from federator.runtime.chain.signatures import as_text
from federator.runtime.link.secure_aggregation.cohort import Cohort
from federator.runtime.link.secure_aggregation.revealed import Revealed, Sum
from federator.runtime.masking.fixed_point import quantise
from federator.runtime.masking.masks import (
    KeyRefused,
    Masks,
    new_seed,
    own_mask,
    pairwise,
)
from federator.runtime.masking.terms import (
    RunKey,
    Terms,
    TermsError,
    require_enough,
    require_signed,
)
from federator.runtime.protocol.instructions import FEDERATION, Instruction, InstructionError
from federator.runtime.protocol.masking_replies import MaskingReply
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.shared_memory import Memory, Update
from federator.runtime.weights.block_file import BLOCK
from federator.runtime.weights.encoding import MASKED, update_form
from federator.runtime.weights.format import WeightsError, describe, file_form

log = logging.getLogger("federator")


class Unmasked:
    """No secure aggregation: updates leave as they are."""

    def admit(self, instruction: Instruction, model: str) -> None:
        """Refuse what only a site with secure aggregation follows.

        Raises:
            InstructionError: if it is that.
        """
        del model
        masked = instruction.encoding == MASKED or instruction.masking
        if masked or instruction.kind == "reveal":
            raise InstructionError("secure aggregation does not stand in this site's file")

    def hidden(self, update: Update | None, model: Memory | None, examples: int) -> Update | None:
        """Return an update as it leaves."""
        del model, examples
        return update

    def tell(self, instruction: Instruction) -> MaskingReply:
        """Return what goes with the answer to an instruction."""
        del instruction
        return MaskingReply()


class _Attempt(NamedTuple):
    terms: Terms
    name: bytes
    sum: Sum
    seed: bytes
    examples: int  # this site's, by the terms
    pairs: dict[str, bytes]  # the keys of the masks that it shares, by the other site


@dataclass
class SiteMasks(Unmasked):
    """Secure aggregation at one site.

    Attributes:
        site: its name.
        key: the site's, which signs the key of each run.
        app_hash: of the app that the site took.
        cohort: the sites, and the minimum, of its own file.
        revealed: remembers for which sums it revealed a seed.
    """

    site: str
    key: ec.EllipticCurvePrivateKey
    app_hash: str
    cohort: Cohort
    revealed: Revealed = field(default_factory=Revealed)
    _run: str = ""
    _run_key: X25519PrivateKey | None = None  # another one each time that the site joins
    _seen: set[tuple[int, int]] = field(default_factory=set)  # rounds and attempts, of this key
    _attempt: _Attempt | None = None
    _saturated: int = 0

    def admit(self, instruction: Instruction, model: str) -> None:
        """Check the terms of a training, or that a seed may be revealed.

        Args:
            instruction: signed by the coordinator.
            model: SHA-256 (hex) of the weights that came with it.

        Raises:
            InstructionError: if it is refused.
        """
        if instruction.kind == "train":
            if instruction.model != FEDERATION:
                raise InstructionError("with secure aggregation no site is trained alone")
            if instruction.encoding != MASKED or not instruction.masking:
                raise InstructionError("this site's updates leave masked only")
            try:
                self._begin(instruction, model)
            except (TermsError, KeyRefused) as error:
                raise InstructionError(str(error)) from None
        elif instruction.kind == "reveal":
            self._require_held(instruction)

    def _begin(self, instruction: Instruction, model: str) -> None:
        """Begin an attempt: from now on no earlier one's seed is revealed."""
        terms = Terms.read(instruction.masking)
        require_enough(terms, self.cohort.minimum)
        require_signed(terms, self.cohort.keys, instruction.run, self.app_hash)
        own = next((one for one in terms.cohort if one.site == self.site), None)
        if own is None:
            raise InstructionError("this site is not in the cohort of the round")
        run_key = self._run_key
        if run_key is None or instruction.run != self._run or own.key.key != _public(run_key):
            raise InstructionError("it is not this site's key of the run: it has to join again")
        if (which := (instruction.round, terms.attempt)) in self._seen:
            raise InstructionError(f"attempt {terms.attempt} at this round was masked before")
        wanted = Sum(instruction.run, instruction.round, model, tuple(terms.sites))
        self.revealed.require_free(wanted)
        name = terms.name(instruction.run, instruction.round)
        others = (one for one in terms.cohort if one is not own)
        pairs = {one.site: pairwise(run_key, one.key.raw, name) for one in others}
        self._seen.add(which)
        self._attempt = _Attempt(terms, name, wanted, new_seed(), own.examples, pairs)

    def _require_held(self, instruction: Instruction) -> _Attempt:
        """Return the newest attempt, if an instruction is to reveal that one.

        Raises:
            InstructionError: if it is another one, or this link did not mask it.
        """
        held = self._attempt
        asked = (instruction.run, instruction.round, instruction.masking)
        if held is None or asked != (held.sum.run, held.sum.round, held.terms.write()):
            raise InstructionError("only the seed of the newest attempt is revealed")
        return held

    def hidden(self, update: Update | None, model: Memory | None, examples: int) -> Update | None:
        """Return an update as it leaves: masked, in memory that no worker has.

        Args:
            update: as the worker has written it.
            model: what it was given.
            examples: the number of examples that the worker trained with.

        Raises:
            WeightsError: if a number of it is NaN or infinite.
            Failure: ``sizes``, if the terms have another number of examples; ``withheld``, if there
                are no terms, or the model is not as it was.
        """
        if update is None:
            return None
        held = self._attempt
        if model is None or held is None:
            raise Failure("withheld", "weights")
        if held.examples != examples:
            raise Failure("sizes")
        given, trained = model.weights, update.weights
        tensors = describe(trained)
        if describe(given) != tensors:  # a worker can write there
            raise Failure("withheld", "weights")
        head, length = file_form(update_form(tensors, MASKED))
        memory = Memory.new(length)
        memory.buffer[: len(head)] = head
        out, at = np.frombuffer(memory.buffer, np.uint32, offset=len(head)), 0
        masks = Masks(self.site, held.pairs, own_mask(held.seed, held.name))
        share = held.terms.share(self.site)
        self._saturated = 0
        for name, tensor in tensors.items():
            grid = held.terms.grid.of(tensor)
            before, after = given[name].reshape(-1), trained[name].reshape(-1)
            for first in range(0, tensor.length, BLOCK):
                some = slice(first, min(first + BLOCK, tensor.length))
                try:
                    part = quantise(after[some], before[some], share, grid)
                except WeightsError as error:
                    raise WeightsError(f"tensor {name} has {error}") from None
                self._saturated += part.saturated
                end = at + len(part.numbers)
                out[at:end] = masks.hide(part.numbers)
                at = end
        return Update(head, memory)

    def tell(self, instruction: Instruction) -> MaskingReply:
        """Return the key of a run as a site joins, or the seed that it reveals.

        Raises:
            InstructionError: if that cannot be noted before.
        """
        if instruction.kind == "join":
            self._run, self._run_key = instruction.run, X25519PrivateKey.generate()
            self._seen, self._attempt = set(), None
            raw = self._run_key.public_key().public_bytes_raw()
            made = RunKey.signed(raw, self.key, instruction.run, self.site, self.app_hash)
            log.info("leaves: its key for the masks of run %s", instruction.run)
            return MaskingReply(key=made)
        if instruction.kind == "reveal":
            held = self._require_held(instruction)
            self.revealed.note(held.sum)
            log.info("leaves: the seed of its own mask, of attempt %d", held.terms.attempt)
            return MaskingReply(seed=as_text(held.seed))
        if instruction.kind == "train" and self._saturated:
            log.info("leaves: that %d numbers of its update were clipped", self._saturated)
            return MaskingReply(saturated=self._saturated)
        return MaskingReply()


def _public(key: X25519PrivateKey) -> str:
    return as_text(key.public_key().public_bytes_raw())
