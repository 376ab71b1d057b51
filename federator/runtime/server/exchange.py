"""What passes between the server and the sites' nodes: orders, and the answers to them.

Weights travel beside the messages as files where both sides can, else within them.
"""

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from federator.errors import RunError
from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.instructions import MOST_TEXT, Instruction
from federator.runtime.protocol.masking_replies import MaskingReply
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.protocol.receipts import SignedReceipt
from federator.runtime.protocol.signing.requests import Signer, SigningRequest
from federator.runtime.server.packing import Order, Packed, Packing
from federator.runtime.server.storage.store import Store
from federator.runtime.weights.block_file import WeightFile
from federator.runtime.weights.encoding import is_exact, restore, update_form
from federator.runtime.weights.format import WeightsError, require_same
from federator.runtime.weights.parts import travelled

log = logging.getLogger("federator")

# Flower announces all messages that are sent together before it sends what is in the first one,
# for which its site asks again and again. (What they share, such as weights, is sent once.)
_TOGETHER = 4
_GRACE = 60.0  # for messages: Flower's own word of one that lapsed would come before ours
_TYPES = {"join": "query", "train": "train", "evaluate": "evaluate",
          "reveal": "query"}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What a site answered: an outcome (with weights, after training), or a failure.

    Attributes:
        bytes_down: of weights that went to the site.
        bytes_up: of weights that came from it.
        bytes_known: of weights that did not travel, since the other side had them.
        files: whether weights may travel as files.
        forged: how many instructions it refused that the coordinator had not signed.
        receipt: what the site signed of it.
        instruction: what the site was told.
        update: SHA-256 of the update as it came (``replies.update_digest``).
        masking: what it said for secure aggregation.
    """

    site: str
    seconds: float
    outcome: Outcome | None = None
    weights: WeightFile | None = None
    failure: Failure | None = None
    bytes_down: int = 0
    bytes_up: int = 0
    bytes_known: int = 0
    files: bool = False
    forged: int = 0
    receipt: SignedReceipt | None = None
    instruction: Instruction | None = None
    update: str = ""
    masking: MaskingReply = field(default_factory=MaskingReply)


@dataclass(frozen=True)
class Pending:
    """An order on its way: to which node, since when (``monotonic``), and its weights."""

    node: int
    order: Order
    at: float
    packed: Packed


def sites_in(answers: Mapping[str, Answer]) -> list[str]:
    """Return the sites with an update among answers, in the order of :func:`updates_in`."""
    return [site for site, answer in answers.items() if answer.weights is not None]


def updates_in(answers: Mapping[str, Answer]) -> tuple[list[WeightFile], list[int]]:
    """Return the updates among answers, and the number of training examples of each."""
    done = [answer for answer in answers.values() if answer.weights is not None]
    weights = [answer.weights for answer in done if answer.weights is not None]
    return weights, [a.outcome.examples["trainset"] for a in done if a.outcome is not None]


class Exchange:
    """Sends orders to nodes through Flower's grid, and takes in what comes back.

    Args:
        grid: the grid of the ServerApp.
        run_id: the Flower run's.
        signer: signs instructions; None where no link checks.
        store: where weights are on their way.
        policy: what sites may say: the federation's labels and metrics.
    """

    def __init__(
        self,
        grid: Grid,
        run_id: int,
        signer: Signer | None,
        store: Store,
        policy: Policy,
    ) -> None:
        self._grid, self._run_id, self._signer, self.store = grid, run_id, signer, store
        self._policy = policy
        self._counters: dict[int, str] = {}

    def send(
        self, orders: Mapping[int, Order], by_files: Collection[int], deadline: float
    ) -> dict[str, Pending]:
        """Send orders to nodes; return what was sent by message id.

        Args:
            orders: by node.
            by_files: the nodes whose weights may travel as files.
            deadline: until when an answer is waited for (epoch seconds).

        Raises:
            RunError: if the model cannot travel in the encoding that is asked for, an
                instruction is longer than a site takes, or the signer refuses one.
        """
        packing = Packing(self.store, by_files)
        packed = {node: packing.pack(node, order) for node, order in orders.items()}
        asked = [self._request(node, order, packed[node]) for node, order in orders.items()]
        signatures = [b""] * len(asked)
        if self._signer is not None and asked:
            signatures = self._signer.sign(asked)
        outgoing = [
            self._message(orders[request.node], packed[request.node], request, signature, deadline)
            for request, signature in zip(asked, signatures, strict=True)
        ]
        began = time.monotonic()
        ids = self._push(outgoing, len(outgoing) if packing.has_arrays else _TOGETHER)
        return {
            message_id or f"unsent-{node}": Pending(node, order, began, packed[node])
            for message_id, (node, order) in zip(ids, orders.items(), strict=True)
        }

    def _request(self, node: int, order: Order, packed: Packed) -> SigningRequest:
        """Return what is to be signed of an order to a node: the instruction and its weights.

        Raises:
            RunError: if the instruction is longer than a site takes.
        """
        if node not in self._counters:
            self._counters[node] = self.store.new_counter()
        text = replace(order.instruction, counter=self._counters[node]).write()
        if len(text) > MOST_TEXT:
            raise RunError(f"an instruction of {len(text)} characters: a site takes {MOST_TEXT}")
        files = packed.manifest.write() if packed.manifest else ""
        return SigningRequest(self._run_id, node, text, files, packed.hashed)

    @staticmethod
    def _message(
        order: Order, packed: Packed, request: SigningRequest, signature: bytes, deadline: float
    ) -> Message:
        """Return an order as a message: the signed instruction, and weights that travel in it."""
        content = RecordDict()
        if packed.arrays is not None:
            content["arrays"] = packed.arrays
        content["config"] = messages.instruction_record(request.text, signature, request.files)
        kind, group = _TYPES[order.instruction.kind], str(order.instruction.round)
        ttl = max(1.0, deadline - time.time()) + _GRACE
        return Message(content, request.node, kind, ttl=ttl, group_id=group)

    def _push(self, outgoing: list[Message], together: int) -> list[str]:
        """Push messages, so many at a time, and notify their sites; return an id for each.

        It is empty for a message that Flower did not take, because those of its batch are too
        large.
        """
        ids: list[str] = []
        for first in range(0, len(outgoing), together):
            batch = outgoing[first : first + together]
            pushed = list(self._grid.push_messages(batch))
            ids += pushed or [""] * len(batch)
            for message in batch if pushed else ():
                self.store.increment(self._counters[message.metadata.dst_node_id])
        return ids

    def poll(self, sent: dict[str, Pending]) -> Iterator[tuple[int, Answer]]:
        """Yield the answers that have come, and take them off the list."""
        for key in [key for key in sent if key.startswith("unsent-")]:
            yield sent.pop(key).node, Answer("", 0.0, failure=Failure("lost"))
        if not sent:
            return
        for reply in self._grid.pull_messages(list(sent)):
            if (item := sent.pop(reply.metadata.reply_to_message_id, None)) is not None:
                yield item.node, self._read(reply, item)

    def _read(self, reply: Message, item: Pending) -> Answer:
        """Return what a reply says; whatever it holds, it costs at most that site's part."""
        seconds = time.monotonic() - item.at
        try:
            answer, receipt = self._answer(reply, item, seconds), replies.receipt_in(reply)
            answer = replace(answer, receipt=receipt, instruction=item.order.instruction)
            return replace(answer, masking=MaskingReply.read(reply))
        except Exception as error:
            log.error("a reply cannot be read: %s", type(error).__name__)
            return Answer("", seconds, failure=Failure("rejected", "it is not of the form of one"))

    def _answer(self, reply: Message, item: Pending, seconds: float) -> Answer:
        """Return what a reply says; an update that is not the model's, or not finite, is a failure.

        Where weights travelled as files, the reply has come after them.
        """
        down = whole = 0 if item.packed.file is None else item.packed.file.size
        if reply.has_error():
            site, failure = replies.read_failure(reply.error)
            carried = 0 if item.packed.manifest else whole  # of files it does not say how much came
            return Answer(site, seconds, failure=failure, bytes_down=carried)
        content = reply.content
        site, files = replies.site_name(content), replies.takes_files(content)
        forged = replies.forged_in(content)
        if item.packed.manifest is not None:
            down = min(whole, replies.fetched_in(content))
        try:
            outcome = replies.outcome_in(content, item.order.instruction.sets, self._policy)
            trains = item.order.instruction.kind == "train"
            update, size, up = self._update(content, item) if trains else (None, 0, 0)
        except WeightsError as error:
            rejected = Failure("rejected", str(error))
            return Answer(site, seconds, failure=rejected, bytes_down=down)
        except Failure as failure:
            return Answer(site, seconds, failure=failure, bytes_down=down)
        known = whole - down + size - up
        answer = Answer(site, seconds, outcome, update, None, down, up, known, files, forged)
        if update is None:
            return answer
        by_files = item.packed.manifest is not None
        return replace(answer, update=replies.update_digest_in(content, by_files))

    def _update(self, content: RecordDict, item: Pending) -> tuple[WeightFile, int, int]:
        """Return the update of a reply, the bytes of it as it travels, and those that had to.

        It has the model's tensors, and only finite numbers.

        Raises:
            WeightsError: if there is none such.
        """
        model, given, encoding = (
            item.order.weights,
            item.packed.file,
            item.order.instruction.encoding,
        )
        assert model is not None and given is not None
        form = update_form(given.tensors, encoding)
        if item.packed.manifest is not None and item.packed.receiver is not None:
            parts = replies.parts_in(content) or ()
            update = item.packed.receiver.close(parts, given, item.packed.manifest.parts)
            size, up = update.size, travelled(parts, item.packed.manifest.parts)
        else:
            update = self.store.keep(messages.weights_in(content) or {})
            size = up = update.size
        require_same(update.tensors, form)
        if not is_exact(encoding):
            came = update
            update = self.store.make(model.tensors, lambda out: restore(came, model, encoding, out))
        if item.packed.watch is None:
            update.require_finite()
        else:
            item.packed.watch.require_finite(update)
        return update, size, up
