"""What leaves a site beside counts: which tensors, and how it is logged."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from federator.runtime.protocol import replies
from federator.runtime.protocol.outcomes import Outcome
from federator.runtime.protocol.shared_memory import Update
from federator.runtime.weights.format import Tensor, Weights, describe, size
from federator.runtime.weights.parts import Parts

log = logging.getLogger("federator")


@dataclass(frozen=True)
class LeftWeights:
    """The update that leaves with an answer.

    Attributes:
        tensors: by name, their types and shapes.
        digest: SHA-256 (hex) of the update: of its list of parts where it travels as files, else
            of its bytes (``replies.update_digest``).
    """

    tensors: Mapping[str, Tensor]
    digest: str

    @classmethod
    def of(cls, update: Update | None, parts: Parts) -> Self | None:
        """Return what leaves of an update, given its parts if it travels as files."""
        if update is None:
            return None
        weights = update.weights
        return cls(describe(weights), replies.update_digest(parts, weights))

    @property
    def layout(self) -> dict[str, str]:
        """Type and shape of each tensor, as text."""
        return {name: f"{one.dtype}{list(one.shape)}" for name, one in self.tensors.items()}


def log_leaving(outcome: Outcome, weights: Weights) -> None:
    """Log what leaves: how many tensors, and each count; the tensors one by one for debugging."""
    for name, tensor in describe(weights).items():
        log.debug("leaves: tensor %s %s%s", name, tensor.dtype, list(tensor.shape))
    log.info(
        "leaves: %d tensors of %d bytes; %s",
        len(weights),
        size(weights),
        ", ".join(f"{name} {value}" for name, value in replies.numbers(outcome).items()),
    )
