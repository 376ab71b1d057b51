"""The folder of a run: a checkpoint per round, the final model; its journal is journal.py's.

A checkpoint is ``round-NNN.safetensors``
(a plain state dictionary) and, for strategies with a server optimizer, its state beside it as
``round-NNN.state.safetensors``. A file is complete or not there.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import NamedTuple

from federator.runtime.files import replaced
from federator.runtime.weights.block_file import Draft, WeightFile
from federator.runtime.weights.buffers import Buffers, read_buffers, write_buffers
from federator.runtime.weights.format import Tensor, Weights, save
from federator.runtime.weights.parts import Parts

_MODEL = "model.safetensors"


class Checkpoint(NamedTuple):
    """A global model, with what its strategy needs to go on from it."""

    round: int
    weights: WeightFile
    state: WeightFile | None = None


class RunFolder:
    """Writes a run's results."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def save(self, round_number: int, weights: Weights) -> Checkpoint:
        """Keep a round's model that is in memory."""
        save(self._weights(round_number), weights)
        return self.load(round_number)

    def begin(self, first: WeightFile, buffers: Buffers) -> Checkpoint:
        """Keep the first model, and which of its tensors are no parameters."""
        write_buffers(self._weights(0), buffers)
        with replaced(self._weights(0)) as out:
            first.write_to(out)
        return self.load(0)

    @contextmanager
    def drafts(
        self, round_number: int, model: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> Iterator[tuple[Draft, Draft]]:
        """Yield the files of a round's model, and of its strategy's state, to be written.

        They are there when both are complete.
        """
        path = self._weights(round_number)
        kept = path.with_suffix(".state.safetensors")
        with replaced(path) as out, replaced(kept) if state else TemporaryFile() as state_out:
            yield Draft(out, model), Draft(state_out, state)

    def load(self, round_number: int, parts: Parts = ()) -> Checkpoint:
        """Return the checkpoint of a round, given its parts if somebody has hashed them.

        Raises:
            OSError: if there is none.
        """
        path = self._weights(round_number)
        state = path.with_suffix(".state.safetensors")
        found = WeightFile(state) if state.exists() else None
        return Checkpoint(round_number, WeightFile(path, parts=parts), found)

    def buffers(self, tensors: Collection[str]) -> Buffers:
        """Return which of the model's tensors are no parameters.

        Raises:
            RunError: if the run does not know.
        """
        return read_buffers(self._weights(0), tensors)

    def last(self) -> Checkpoint | None:
        """Return the newest checkpoint, if any."""
        rounds = [int(path.name[6:-12]) for path in self.path.glob("round-*.safetensors")
                  if not path.name.endswith(".state.safetensors")]  # fmt: skip
        return self.load(max(rounds)) if rounds else None

    def finish(self, chosen: Checkpoint) -> None:
        """Write the final model."""
        with replaced(self.path / _MODEL) as out:
            chosen.weights.write_to(out)

    def _weights(self, round_number: int) -> Path:
        return self.path / f"round-{round_number:03d}.safetensors"
