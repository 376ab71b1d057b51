"""How a link gets the model and hands in its update: parts of files, several at once.

They pass straight between the network and the memory that link and worker share. What a cut line
has kept from arriving is tried again, part by part, for as long as somebody waits for it.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from federator.runtime.files import sha256
from federator.runtime.link.gateway import NoLongerWanted, StoreClient
from federator.runtime.protocol.instructions import InstructionError
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.shared_memory import Memory, Update
from federator.runtime.weights.format import MAX_HEAD, Tensor, read_head
from federator.runtime.weights.parts import (
    Part,
    Parts,
    PartsManifest,
    cut,
    is_known,
    name,
    zeros,
)

log = logging.getLogger("federator")

Result = TypeVar("Result")

_AT_ONCE = 4  # parts: hashing and encryption of one overlap with the network's time of another
_LONGEST_PAUSE = 5.0  # seconds between two tries


class PartTransfer:
    """Carries whole files of weights over a way, without the parts that the other side has.

    Attributes:
        fetched: the bytes that came over the way the last time.
    """

    def __init__(self, client: StoreClient) -> None:
        self._client = client
        self.fetched = 0
        self.let_go()

    def let_go(self, size: int = 1) -> None:
        """Have other memory for the next model, since somebody may still write to what this is."""
        self._model = Memory.new(size)
        self._table: list[Part | None] = [zeros(one.stop - one.start) for one in cut(size)]

    def fetch(self, manifest: PartsManifest, expires: float) -> tuple[Memory, dict[str, Tensor]]:
        """Return memory with a manifest's weights, the same for the next ones, and its tensors.

        Parts that should be there already are hashed: a worker may have changed them since.

        Raises:
            InstructionError: naming a part that is not what the manifest says.
            Failure: ``late``, if they have not come by ``expires`` (epoch seconds).
            WeightsError: if they are no weights.
        """
        if len(self._model.buffer) != manifest.size:
            self.let_go(manifest.size)

        def receive(where: slice) -> Part:
            part = self._model.buffer[where]
            self._client.get(manifest.down, where.start, part, expires)
            return Part(len(part), sha256(part))

        def have(number: int, where: slice) -> int:
            part = manifest.parts[number]
            if self._table[number] == part and sha256(self._model.buffer[where]) == part.sha256:
                return 0
            self._table[number] = None
            if empty := part == zeros(part.size):
                self._model.buffer[where] = bytes(part.size)
            elif part not in (retry_until(lambda: receive(where), expires) for _ in range(2)):
                raise _not_the_coordinators(number)
            self._table[number] = part
            return 0 if empty else part.size

        self.fetched = sum(_side_by_side(have, manifest.size))
        return self._model, self._tensors(manifest)

    def _tensors(self, manifest: PartsManifest) -> dict[str, Tensor]:
        """Return the model's tensors, by a copy of what stands before their numbers.

        (It is hashed once more: a worker could have changed the memory since it arrived there.)
        """
        end = 8 + min(int.from_bytes(self._model.buffer[:8], "little"), MAX_HEAD)
        copy = bytes(self._model.buffer[:end])
        for number, (part, where) in enumerate(
            zip(manifest.parts, cut(manifest.size), strict=True)
        ):
            if where.start >= end:
                break
            own, rest = copy[where], self._model.buffer[where]
            if part.sha256 != sha256(own, rest[len(own) :]):
                raise _not_the_coordinators(number)
        return {name: tensor for name, (tensor, _) in read_head(copy, manifest.size).items()}

    def send(self, manifest: PartsManifest, update: Update, expires: float) -> Parts:
        """Hand in what became of a manifest's weights; return the table of the parts.

        Raises:
            Failure: ``late``, if they are not there by ``expires`` (epoch seconds).
        """

        def send(number: int, where: slice) -> Part:
            data, to = update.read(where), name(number, update.size)
            part = Part(where.stop - where.start, sha256(*data))
            if update.memory is self._model:
                self._table[number] = part
            if not is_known(number, part, update.size, manifest.parts):
                retry_until(lambda: self._client.put(manifest.up, to, data, expires), expires)
            return part

        return tuple(_side_by_side(send, update.size))


def _not_the_coordinators(number: int) -> InstructionError:
    return InstructionError(f"part {number} of the model is not the coordinator's")


def _side_by_side(each: Callable[[int, slice], Result], size: int) -> list[Result]:
    parts = cut(size)
    with ThreadPoolExecutor(min(_AT_ONCE, len(parts))) as pool:
        return list(pool.map(each, range(len(parts)), parts))


def retry_until(what: Callable[[], Result], expires: float) -> Result:
    """Do something over the network again until it is done, and return what comes of it.

    Raises:
        Failure: ``late``, if it is not by ``expires`` (epoch seconds), or nobody waits for it.
    """
    pause = 0.0
    while True:
        try:
            return what()
        except NoLongerWanted:
            raise Failure("late") from None
        except OSError as error:
            if time.time() + pause > expires:
                raise Failure("late") from None
            log.warning("weights: %s: next try in %.1f s", error, pause)
        time.sleep(pause)
        pause = min(2 * pause + 0.2, _LONGEST_PAUSE)
