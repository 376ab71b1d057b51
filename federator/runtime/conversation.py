"""The server's conversation with the sites: who has joined, what they are told, what they answer.

It never waits in silence: each wait has a deadline, and what is missing has a name.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from federator.errors import RunError
from federator.runtime import messages
from federator.runtime.encoding import EXACT, model_form, restore, update_form, write_model
from federator.runtime.inbox import Inbox
from federator.runtime.instructions import Instruction, sign
from federator.runtime.outcomes import Failure, Outcome
from federator.runtime.parcels import Parcel, Table, travelled
from federator.runtime.store import Store
from federator.runtime.weightfile import Watch, WeightFile
from federator.runtime.weights import WeightsError, digest, file_size, require_same

# Each question costs the SuperLink some 12 ms of computing.
_QUICK, _SLOW, _SELDOM, _SLOWEST = 0.02, 0.2, 1.0, 2.0
_ROLL_CALL = 2.0
# Flower announces all messages that are sent together before it sends what is in the first one,
# for which its site asks again and again. (What they share, such as weights, is sent once.)
_TOGETHER = 4
_CROWD = 4  # of more sites, some will have answered meanwhile
_GRACE = 60.0  # for messages: Flower's own word of one that lapsed would come before ours
_TYPES = {"join": "query", "train": "train", "evaluate": "evaluate"}


@dataclass(frozen=True)
class Order:
    """An instruction to a site, and the weights it comes with."""

    instruction: Instruction
    weights: WeightFile | None = None


@dataclass(frozen=True)
class Answer:
    """What a site answered: an outcome (with weights, after training), or a failure.

    Attributes:
        bytes_down: of weights that went to the site.
        bytes_up: of weights that came from it.
        bytes_known: of weights that did not travel, since the other side had them.
        files: whether weights may travel as files.
        forged: how many instructions it refused that the coordinator had not signed.
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


@dataclass(frozen=True)
class _Sent:
    node: int
    order: Order
    at: float
    carried: WeightFile | None = None
    parcel: Parcel | None = None
    inbox: Inbox | None = None
    watch: Watch | None = None


class Conversation:
    """Speaks to nodes through Flower's grid, and knows which site each of them is.

    Args:
        grid: the grid of the ServerApp.
        run_id: the Flower run's.
        key: with which instructions are signed; None where no link checks.
        believe: whether a node may say which site it is (on one machine); otherwise the name
            under which its key was registered counts.
        store: where weights are on their way.
        by_files: whether a site's weights may travel as files, if it says that they can.
    """

    def __init__(
        self,
        grid: Grid,
        run_id: int,
        key: Ed25519PrivateKey | None,
        believe: bool,
        store: Store,
        by_files: Callable[[str], bool],
    ) -> None:
        self._grid, self._run_id, self._key, self._believe = grid, run_id, key, believe
        self._may_take_files = by_files
        self._by_files: set[int] = set()
        self.store = store
        self._joining: dict[str, _Sent] = {}
        self._greeting: Order | None = None
        self._greeted: set[int] = set()
        self._awaited: set[str] = set()  # greetings for whose answers nobody has waited yet
        self._since: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._bells: dict[int, str] = {}
        self.nodes: dict[str, int] = {}

    def join(
        self, order: Order, expected: frozenset[str], enough: int, deadline: float
    ) -> Iterator[Answer]:
        """Greet nodes as they appear, and yield the answer of each site that speaks up.

        Ends when all expected sites have answered (where none are expected: ``enough`` sites),
        or at ``deadline`` (epoch seconds).
        """
        answered: set[str] = set(self.nodes)
        while True:
            self._greet(order, list(self._grid.get_nodes()))
            for answer in self._admitted(expected):
                answered.add(answer.site)
                yield answer
            complete = expected <= answered if expected else len(self.nodes) >= enough
            if complete or time.time() > deadline:
                return
            time.sleep(_SLOW)

    def welcome(self, order: Order, expected: frozenset[str], patience: float) -> Iterator[Answer]:
        """Greet the nodes that have appeared meanwhile, and yield who speaks up.

        Waits for those that were greeted since the last time, for ``patience`` seconds at most.
        """
        # Who could not join when greeted before may have been mended meanwhile.
        self._greeted = {*self.nodes.values(), *(sent.node for sent in self._joining.values())}
        self._greet(order, list(self._grid.get_nodes()))
        awaited, self._awaited = self._awaited, set()
        until = time.monotonic() + patience
        while True:
            yield from self._admitted(expected)
            if self._joining.keys().isdisjoint(awaited) or time.monotonic() > until:
                return
            time.sleep(_QUICK)

    def _greet(self, order: Order, present: Sequence[NodeInfo]) -> None:
        """Greet those of the present nodes that have appeared, and forget who is not among them."""
        self._greeting = order
        before, self._since = self._since, _activations(present)
        self._names = {node.node_id: node.name for node in present}
        for key, item in list(self._joining.items()):
            if self._since.get(item.node) != before.get(item.node):
                del self._joining[key]  # it was away meanwhile, and may not have heard
                self._greeted.discard(item.node)
        for site in [site for site, node in self.nodes.items() if node not in self._names]:
            self.forget(site)
        fresh = dict.fromkeys(self._names.keys() - self._greeted, order)
        self._greeted |= fresh.keys()
        sent = self._send(fresh, order.instruction.expires)
        self._joining |= sent
        self._awaited |= sent.keys()

    def _admitted(self, expected: frozenset[str]) -> Iterator[Answer]:
        for node, answer in self._poll(self._joining):
            yield self._admit(node, answer, self._names.get(node, ""), expected)

    def forget(self, site: str) -> None:
        """Take a site off the list; it is greeted again when it comes back."""
        self._greeted.discard(self.nodes.pop(site))

    def ask(self, orders: Mapping[str, Order], deadline: float) -> dict[str, Answer]:
        """Give sites their orders; return the answers of all, in the order of the names.

        A site that has not answered by ``deadline`` (epoch seconds), or whose connection is
        lost or whose link starts anew meanwhile, has a failure for an answer; a lost one is also
        forgotten.
        """
        names = {self.nodes[site]: site for site in orders}
        sent = self._send({self.nodes[site]: order for site, order in orders.items()}, deadline)
        answers: dict[str, Answer] = {}
        # Who has an update to send is waited for by looking for that, which costs less.
        pause = _SLOW if all(item.inbox for item in sent.values()) else _QUICK
        roll_call, crowd = time.monotonic() + _ROLL_CALL, 1.0
        while sent:
            came = self._wait(sent, min(pause, deadline - time.time()), _QUICK * crowd)
            before, began = len(sent), time.monotonic()
            answers |= {names[node]: answer for node, answer in self._poll(sent)}
            if time.time() > deadline:
                answers |= self._give_up(sent, names, "late")
            elif time.monotonic() > roll_call:
                present = list(self._grid.get_nodes())
                since = _activations(present)
                gone = {
                    key: item
                    for key, item in sent.items()
                    if since.get(item.node) != self._since.get(item.node)
                }
                sent = {key: item for key, item in sent.items() if key not in gone}
                answers |= self._give_up(gone, names, "lost")
                if (greeting := self._greeting) and time.time() < greeting.instruction.expires:
                    self._greet(greeting, present)  # so that it can answer before the next round
                roll_call = time.monotonic() + _ROLL_CALL
            crowd, taken = max(1.0, len(sent) / _CROWD), time.monotonic() - began
            if len(sent) < before or came:
                pause = _QUICK * crowd
            else:
                # Who has yet to send an update has seldom answered.
                seldom = all(item.inbox and not item.inbox.settled for item in sent.values())
                most = _SELDOM if seldom else _SLOW
                pause = max(min(pause * 1.5, most), min(taken * crowd, _SLOWEST))
        self.store.withdraw()
        return {site: answers[site] for site in sorted(orders)}

    def _wait(self, sent: Mapping[str, _Sent], pause: float, tick: float) -> bool:
        """Wait; hash meanwhile what has come of the updates. Return at once, and True, for one."""
        until, inboxes = time.monotonic() + pause, [item.inbox for item in sent.values()]
        while sent and (left := until - time.monotonic()) > 0:
            if sum(inbox.glance(until) for inbox in inboxes if inbox is not None):
                return True
            time.sleep(min(tick, left))
        return False

    def _give_up(
        self, sent: dict[str, _Sent], names: Mapping[int, str], reason: str
    ) -> dict[str, Answer]:
        failed = {}
        for item in sent.values():
            site = names[item.node]
            failed[site] = Answer(site, time.monotonic() - item.at, failure=Failure(reason))
            if reason == "lost":
                self.forget(site)
        sent.clear()
        return failed

    def _admit(
        self, node: int, answer: Answer, registered: str, expected: frozenset[str]
    ) -> Answer:
        site = answer.site if self._believe else registered
        failure = answer.failure
        if failure is None and expected and site not in expected:
            failure = Failure("refused", "it is not a site of this federation")
        elif failure is None and site in self.nodes:
            failure = Failure("refused", "another node has joined under this name")
        elif failure is None:
            self.nodes[site] = node
            if answer.files and self._may_take_files(site):
                self._by_files.add(node)
        return Answer(site, answer.seconds, answer.outcome, failure=failure)

    def _send(self, orders: Mapping[int, Order], deadline: float) -> dict[str, _Sent]:
        """Send orders to nodes; return what was sent by message id."""
        if not orders:
            return {}
        carried: dict[int, WeightFile] = {}
        published: dict[int, tuple[str, Table]] = {}
        packed: dict[int, tuple[ArrayRecord, str]] = {}
        outgoing, sent = [], []
        for node, order in orders.items():
            content, hashed, parcel, file = RecordDict(), "", None, None
            inbox, watch = None, None
            if order.weights is not None:
                key = id(order.weights)
                file = carried.get(key) or self._encoded(order.weights, order.instruction.encoding)
                carried[key] = file
            if file is not None and node in self._by_files:
                if id(file) not in published:
                    published[id(file)] = self.store.publish(file)
                if order.instruction.kind == "train":
                    form = update_form(file.tensors, order.instruction.encoding)
                    watch = Watch(form)
                    exact = order.instruction.encoding == EXACT  # else it is not what counts
                    inbox = self.store.accept(file_size(form), watch.look if exact else None)
                parcel = Parcel(*published[id(file)], inbox.capability if inbox else "")
                hashed = parcel.digest
            elif file is not None:
                if id(file) not in packed:
                    weights = file.load()
                    packed[id(file)] = messages.to_record(weights), digest(weights)
                content["arrays"], hashed = packed[id(file)]
            if node not in self._bells:
                self._bells[node] = self.store.hang_bell()
            text = replace(order.instruction, bell=self._bells[node]).write()
            signature = sign(self._key, text, self._run_id, node, hashed) if self._key else b""
            content["config"] = messages.instruction_record(text, signature, parcel)
            kind, group = _TYPES[order.instruction.kind], str(order.instruction.round)
            ttl = max(1.0, deadline - time.time()) + _GRACE
            outgoing.append(Message(content, node, kind, ttl=ttl, group_id=group))
            sent.append((file, parcel, inbox, watch))
        began, ids = time.monotonic(), list[str]()
        together = len(outgoing) if packed else _TOGETHER
        for first in range(0, len(outgoing), together):
            few = outgoing[first : first + together]
            pushed = list(self._grid.push_messages(few))  # none: they are too large
            ids += pushed or [""] * len(few)
            for message in few if pushed else ():
                self.store.ring(self._bells[message.metadata.dst_node_id])
        return {
            message_id or f"unsent-{node}": _Sent(node, order, began, *how)
            for message_id, (node, order), how in zip(ids, orders.items(), sent, strict=True)
        }

    def _encoded(self, file: WeightFile, encoding: str) -> WeightFile:
        """Return weights as they travel.

        Raises:
            RunError: if they cannot.
        """
        if encoding == EXACT:
            return file
        tensors = model_form(file.tensors, encoding)
        try:
            return self.store.make(tensors, lambda out: write_model(file, encoding, out))
        except WeightsError as error:
            raise RunError(f"the model cannot travel as {encoding}: {error}") from None

    def _poll(self, sent: dict[str, _Sent]) -> Iterator[tuple[int, Answer]]:
        """Yield the answers that have come, and take them off the list."""
        for key in [key for key in sent if key.startswith("unsent-")]:
            yield sent.pop(key).node, Answer("", 0.0, failure=Failure("lost"))
        if not sent:
            return
        for reply in self._grid.pull_messages(list(sent)):
            if (item := sent.pop(reply.metadata.reply_to_message_id, None)) is not None:
                yield item.node, self._read(reply, item)

    def _read(self, reply: Message, item: _Sent) -> Answer:
        """Return what a reply says; an update that is not the model's, or not finite, is a failure.

        Where weights travelled as files, the reply has come after them.
        """
        seconds = time.monotonic() - item.at
        down = whole = 0 if item.carried is None else item.carried.size
        if reply.has_error():
            site, failure = messages.read_failure(reply.error)
            carried = 0 if item.parcel else whole  # of files it does not say how much came
            return Answer(site, seconds, failure=failure, bytes_down=carried)
        content = reply.content
        site, files = messages.site_name(content), messages.takes_files(content)
        forged = messages.forged_in(content)
        if item.parcel is not None:
            down = min(whole, messages.fetched_in(content))
        try:
            outcome = messages.outcome_in(content)
            trains = item.order.instruction.kind == "train"
            update, size, up = self._update(content, item) if trains else (None, 0, 0)
        except WeightsError as error:
            rejected = Failure("rejected", str(error))
            return Answer(site, seconds, failure=rejected, bytes_down=down)
        except Failure as failure:
            return Answer(site, seconds, failure=failure, bytes_down=down)
        known = whole - down + size - up
        return Answer(site, seconds, outcome, update, None, down, up, known, files, forged)

    def _update(self, content: RecordDict, item: _Sent) -> tuple[WeightFile, int, int]:
        """Return the update of a reply, the bytes of it as it travels, and those that had to.

        It has the model's tensors, and only finite numbers.

        Raises:
            WeightsError: if there is none such.
        """
        model, given, encoding = item.order.weights, item.carried, item.order.instruction.encoding
        assert model is not None and given is not None
        form = update_form(given.tensors, encoding)
        watch = item.watch or Watch(form)
        if item.parcel is not None and item.inbox is not None:
            table = messages.table_in(content) or ()
            update = item.inbox.close(table, given, item.parcel.table)
            size, up = update.size, travelled(table, item.parcel.table)
        else:
            update = self.store.keep(messages.weights_in(content) or {})
            size = up = update.size
        require_same(update.tensors, form)
        if encoding != EXACT:
            came = update
            update = self.store.make(model.tensors, lambda out: restore(came, model, encoding, out))
        watch.require_finite(update)
        return update, size, up


def _activations(present: Sequence[NodeInfo]) -> dict[int, str]:
    """Return when each node has connected: what differs if it was away meanwhile."""
    return {node.node_id: node.last_activated_at for node in present}
