"""A task of the author's own: what ``test`` returns is the evaluation, and nothing is counted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from federator.runtime.protocol.notices import Notice
from federator.runtime.worker.tasks.base import Counted, Reader

if TYPE_CHECKING:
    import torch


class OtherReader(Reader):
    """Looks at no batch, no output and no prediction."""

    def check_training_set(self, loader: object) -> Sequence[Notice]:
        """Accept batches of any form."""
        del loader
        return ()

    def check_batch(self, batch: object, part: str) -> None:
        """Accept batches of any form."""

    def check_outputs(self, net: "torch.nn.Module", batch: object, part: str) -> None:
        """Accept outputs of any form."""

    def from_outputs(
        self, net: "torch.nn.Module", loader: object, part: str, number: int
    ) -> Counted:
        """Count nothing."""
        del net, loader, part, number
        return Counted({}, None)

    def from_predict(self, result: object, loader: object, part: str, number: int) -> Counted:
        """Count nothing."""
        del result, loader, part, number
        return Counted({}, None)
