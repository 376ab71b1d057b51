"""The weights of orders, made ready to travel: encoded, then published as files or as arrays."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from flwr.app import ArrayRecord

from federator.errors import RunError
from federator.runtime.files import sha256
from federator.runtime.protocol import messages
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.server.storage.store import Store
from federator.runtime.server.storage.update_receiver import UpdateReceiver
from federator.runtime.weights.block_file import Watch, WeightFile
from federator.runtime.weights.encoding import EXACT, is_exact, model_form, update_form, write_model
from federator.runtime.weights.format import WeightsError, file_size
from federator.runtime.weights.parts import Parts, PartsManifest


@dataclass(frozen=True)
class Order:
    """An instruction to a site, and the weights it comes with."""

    instruction: Instruction
    weights: WeightFile | None = None


@dataclass(frozen=True)
class Packed:
    """The weights of one order, ready to travel: as files, within the message, or none.

    Attributes:
        file: the model as it travels.
        manifest: what the message says of it where it travels as files.
        receiver: where the update is to arrive as files.
        watch: looks at the update meanwhile, where that is its numbers as they count.
        arrays: the model within the message.
        hashed: SHA-256 of those arrays, which is signed with the instruction.
    """

    file: WeightFile | None = None
    manifest: PartsManifest | None = None
    receiver: UpdateReceiver | None = None
    watch: Watch | None = None
    arrays: ArrayRecord | None = None
    hashed: str = ""


class Size(NamedTuple):
    """How many bytes a round takes: what is on its way, and its largest model."""

    on_the_way: int
    model: int


def size_of(orders: Iterable[Order], encoding: str) -> Size:
    """Return how many bytes orders of one round take, with the updates that they bring."""
    models = [(order, order.weights) for order in orders if order.weights is not None]
    files = {file: file.size for _, file in models}
    received = sum(file.size for order, file in models if order.instruction.kind == "train")
    if encoding != EXACT:
        received *= 2  # as they come, and in the model's own types; or those of two attempts
    return Size(sum(files.values()) + received, max(files.values(), default=0))


class Packing:
    """Makes the weights of several orders ready to travel, each model once.

    Args:
        store: where weights are on their way.
        by_files: the nodes whose weights may travel as files.
    """

    def __init__(self, store: Store, by_files: Collection[int]) -> None:
        self._store, self._by_files = store, by_files
        # By the identity of a model, which the orders keep alive meanwhile.
        self._files: dict[int, WeightFile] = {}
        self._published: dict[int, tuple[str, Parts]] = {}
        self._arrays: dict[int, tuple[ArrayRecord, str]] = {}

    @property
    def has_arrays(self) -> bool:
        """Whether some weights travel within messages."""
        return bool(self._arrays)

    def pack(self, node: int, order: Order) -> Packed:
        """Return an order's weights, ready to travel to a node.

        Raises:
            RunError: if they cannot travel in the encoding that is asked for.
        """
        if order.weights is None:
            return Packed()
        key = id(order.weights)
        if key not in self._files:
            self._files[key] = self._encoded(order.weights, order.instruction.encoding)
        file = self._files[key]
        return self._as_files(file, order) if node in self._by_files else self._in_message(file)

    def _as_files(self, file: WeightFile, order: Order) -> Packed:
        """Publish a model in the store, and open a folder there for the update of a training."""
        if id(file) not in self._published:
            self._published[id(file)] = self._store.publish(file)
        capability, parts = self._published[id(file)]
        if order.instruction.kind != "train":
            return Packed(file, PartsManifest(capability, parts, ""))
        form = update_form(file.tensors, order.instruction.encoding)
        # What arrives encoded is not what counts: it is checked once it is restored.
        watch = Watch(form) if order.instruction.encoding == EXACT else None
        receiver = self._store.accept(file_size(form), watch.look if watch else None)
        return Packed(file, PartsManifest(capability, parts, receiver.capability), receiver, watch)

    def _in_message(self, file: WeightFile) -> Packed:
        if id(file) not in self._arrays:
            record = messages.to_record(file.load())
            self._arrays[id(file)] = record, sha256(messages.packed_in(record))
        arrays, hashed = self._arrays[id(file)]
        return Packed(file, arrays=arrays, hashed=hashed)

    def _encoded(self, file: WeightFile, encoding: str) -> WeightFile:
        """Return weights as they travel.

        Raises:
            RunError: if they cannot.
        """
        if is_exact(encoding):
            return file
        tensors = model_form(file.tensors, encoding)
        try:
            return self._store.make(tensors, lambda out: write_model(file, encoding, out))
        except WeightsError as error:
            raise RunError(f"the model cannot travel as {encoding}: {error}") from None
