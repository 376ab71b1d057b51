"""The sites of a run: which have joined, what the server asks of them, what they answer.

It never waits in silence: each wait has a deadline, and what is missing has a name.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid

from federator.runtime.masking.terms import RunKey
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.server.exchange import Answer, Exchange, Pending
from federator.runtime.server.packing import Order
from federator.runtime.server.proof.receipts import ReceiptCheck
from federator.runtime.server.storage.update_receiver import UpdateReceiver
from federator.runtime.server.waits.waiting import QUICK, SLOW, Pause, Tell, WaitingNotice

_ROLL_CALL = 2.0  # seconds between looks at which nodes are connected
_PASSING = ("no-worker", "late")  # a site that is starting gets over these by itself

Hear = Callable[[Answer], None]


class Sites:
    """Knows which site each node is, gives them orders, and waits for their answers.

    Args:
        grid: the grid of the ServerApp.
        exchange: with the nodes of that.
        believe: whether a node may say which site it is (on one machine); otherwise the name
            under which its key was registered counts.
        by_files: whether a site's weights may travel as files, if it says that they can.
        tell: called with the sites that the server waits for, if that takes a while.
        receipts: checks the receipt of each answer.
    """

    def __init__(
        self,
        grid: Grid,
        exchange: Exchange,
        believe: bool,
        by_files: Callable[[str], bool],
        tell: Tell = lambda _sites, _until: None,
        receipts: ReceiptCheck | None = None,
    ) -> None:
        self._receipts = receipts or ReceiptCheck()
        self._grid, self._exchange, self._believe, self._tell = grid, exchange, believe, tell
        self.store = exchange.store
        self._may_take_files = by_files
        self._by_files: set[int] = set()
        self._joining: dict[str, Pending] = {}
        self._greeting: Order | None = None
        self._lasting = 0.0  # seconds that a site has for the answer to a greeting
        self._expected: frozenset[str] = frozenset()
        self._greeted: set[int] = set()
        self._awaited: set[str] = set()  # greetings for whose answers nobody has waited yet
        self._since: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._sizes: dict[str, Mapping[str, int]] = {}  # of the sets, as each site joined
        self.nodes: dict[str, int] = {}
        self.mask_keys: dict[str, RunKey] = {}  # of secure aggregation, as each site joined

    def join(
        self, order: Order, expected: frozenset[str], enough: int, deadline: float
    ) -> Iterator[Answer]:
        """Greet nodes as they appear, and yield the answer of each site that speaks up.

        Ends when all expected sites have answered (where none are expected: ``enough`` sites),
        or at ``deadline`` (epoch seconds). Where fewer than ``enough`` have joined, a site that is
        still starting is waited for.
        """
        settled: set[str] = set(self.nodes)  # they joined, or will not by themselves
        answered = set(settled)
        self._begin(order, expected)
        notice = WaitingNotice(self._tell, deadline)
        while True:
            notice.look(expected - answered)
            self._greet(list(self._grid.get_nodes()))
            for answer in self._admitted():
                answered.add(answer.site)
                if answer.failure is None or answer.failure.reason not in _PASSING:
                    settled.add(answer.site)
                yield answer
            complete = len(self.nodes) >= enough
            if expected:
                complete = expected <= (answered if complete else settled)
            if complete or time.time() > deadline:
                return
            time.sleep(SLOW)

    def welcome(self, order: Order, expected: frozenset[str], patience: float) -> Iterator[Answer]:
        """Greet the nodes that have appeared meanwhile, and yield who speaks up.

        Waits for those that were greeted since the last time, for ``patience`` seconds at most.
        """
        yield from self.look(order, expected, again=True)
        awaited, self._awaited = self._awaited, set()
        until = time.monotonic() + patience
        while True:
            yield from self._admitted()
            if self._joining.keys().isdisjoint(awaited) or time.monotonic() > until:
                return
            time.sleep(QUICK)

    def look(self, order: Order, expected: frozenset[str], again: bool) -> Iterator[Answer]:
        """Yield who has joined meanwhile, and greet those that have appeared, without a wait.

        Those that are connected and could not join are greeted ``again`` if told so: they may have
        been mended meanwhile.
        """
        self._begin(order, expected)
        yield from self._admitted()
        present = list(self._grid.get_nodes())
        if again:
            self._greeted = {*self.nodes.values(), *(sent.node for sent in self._joining.values())}
        if again or _activations(present) != self._since:
            self._greet(present)

    def sizes(self, site: str) -> Mapping[str, int]:
        """Return the sizes of a site's sets, as it joined."""
        return self._sizes.get(site, {})

    def _begin(self, order: Order, expected: frozenset[str]) -> None:
        """Note whom to greet from now on, and with what."""
        self._greeting, self._expected = order, expected
        self._lasting = order.instruction.expires - time.time()

    def _meet(self, present: Sequence[NodeInfo], hear: Hear) -> None:
        """Greet who appears during a round, with as much time to answer as at its beginning."""
        if self._greeting is None:
            return
        for answer in self._admitted():
            hear(answer)
        self._greet(present)

    def _greet(self, present: Sequence[NodeInfo]) -> None:
        """Greet those of the present nodes that have appeared, and forget who is not among them.

        Each greeting holds until another moment, and so has another signature: a site follows an
        instruction once, also if its link was started again before it could answer.
        """
        assert self._greeting is not None
        expires = time.time() + self._lasting
        lasts = replace(self._greeting.instruction, expires=expires)
        order = replace(self._greeting, instruction=lasts)
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
        sent = self._exchange.send(fresh, self._by_files, expires)
        self._joining |= sent
        self._awaited |= sent.keys()

    def _admitted(self) -> Iterator[Answer]:
        """Yield what those say that were greeted.

        The greeting of a link that was started again is lost with it. That is not what the site
        says: it is greeted anew, whether Flower or a look at the connections tells of it.
        """
        for node, answer in self._exchange.poll(self._joining):
            if answer.failure is not None and answer.failure.reason == "lost":
                self._greeted.discard(node)
                continue
            admitted = self._admit(node, answer, self._names.get(node, ""))
            if admitted.failure is not None and admitted.failure.reason in _PASSING:
                self._greeted.discard(node)
            yield admitted

    def forget(self, site: str) -> None:
        """Take a site off the list; it is greeted again when it comes back."""
        self._greeted.discard(self.nodes.pop(site))

    def ask(
        self, orders: Mapping[str, Order], deadline: float, hear: Hear = lambda _: None
    ) -> dict[str, Answer]:
        """Give sites their orders; return the answers of all, in the order of the names.

        A site that has not answered by ``deadline`` (epoch seconds), or whose connection is
        lost or whose link starts anew meanwhile, has a failure for an answer; a lost one is also
        forgotten. Sites that appear meanwhile join, for the next orders; ``hear`` is told what
        they answer.
        """
        names = {self.nodes[site]: site for site in orders}
        to_nodes = {self.nodes[site]: order for site, order in orders.items()}
        pending = self._exchange.send(to_nodes, self._by_files, deadline)
        answers: dict[str, Answer] = {}
        pause, roll_call = Pause(_receivers(pending)), time.monotonic() + _ROLL_CALL
        notice = WaitingNotice(self._tell, deadline, orders)
        while pending:
            notice.look([names[item.node] for item in pending.values()])
            came = pause.wait(_receivers(pending), deadline)
            before, began = len(pending), time.monotonic()
            answers |= {
                names[node]: self._receipts.checked(names[node], answer)
                for node, answer in self._exchange.poll(pending)
            }
            if time.time() > deadline:
                answers |= self._give_up(pending, names, "late")
            elif time.monotonic() > roll_call:
                present = list(self._grid.get_nodes())
                answers |= self._give_up(self._take_lost(pending, present), names, "lost")
                self._meet(present, hear)
                roll_call = time.monotonic() + _ROLL_CALL
            came = came or len(pending) < before
            pause.adapt(_receivers(pending), came, time.monotonic() - began)
        self.store.withdraw()
        return {site: self._settled(site, answers[site]) for site in sorted(orders)}

    def _take_lost(
        self, pending: dict[str, Pending], present: Sequence[NodeInfo]
    ) -> dict[str, Pending]:
        """Take out the orders of nodes that are away or have connected anew, and return them."""
        since = _activations(present)
        lost = {
            key: item
            for key, item in pending.items()
            if since.get(item.node) != self._since.get(item.node)
        }
        for key in lost:
            del pending[key]
        return lost

    def _settled(self, site: str, answer: Answer) -> Answer:
        """Return a site's answer, or its failure if its sets have another size than it joined with.

        Its share in the model follows from that size. A site with such a failure joins again, which
        is written down; so does a lost one, of which Flower may tell before a look at which nodes
        are connected does.
        """
        found = answer.outcome.examples if answer.outcome is not None else None
        if found is not None and found != self._sizes.get(site, found):
            answer = replace(answer, outcome=None, weights=None, failure=Failure("sizes"))
        again = answer.failure is not None and answer.failure.reason in ("sizes", "lost")
        if again and site in self.nodes:
            self.forget(site)
        return answer

    def _give_up(
        self, sent: dict[str, Pending], names: Mapping[int, str], reason: str
    ) -> dict[str, Answer]:
        failed = {}
        for item in sent.values():
            site = names[item.node]
            failed[site] = Answer(site, time.monotonic() - item.at, failure=Failure(reason))
            if reason == "lost":
                self.forget(site)
        sent.clear()
        return failed

    def _admit(self, node: int, answer: Answer, registered: str) -> Answer:
        site = answer.site if self._believe else registered
        answer = self._receipts.checked(site, answer)
        failure = answer.failure
        if failure is None and self._expected and site not in self._expected:
            failure = Failure("refused", "it is not a site of this federation")
        elif failure is None and site in self.nodes:
            failure = Failure("refused", "another node has joined under this name")
        elif failure is None:
            self.nodes[site] = node
            if answer.outcome is not None:
                self._sizes[site] = answer.outcome.examples
            key, told = answer.masking.key, answer.instruction
            self.mask_keys.pop(site, None)
            if key and told and self._receipts.has_signed(site, key, told.run):
                self.mask_keys[site] = key
            if answer.files and self._may_take_files(site):
                self._by_files.add(node)
        heard = Answer(site, answer.seconds, answer.outcome, failure=failure)
        return replace(heard, receipt=answer.receipt)


def _receivers(pending: Mapping[str, Pending]) -> list[UpdateReceiver | None]:
    return [item.packed.receiver for item in pending.values()]


def _activations(present: Sequence[NodeInfo]) -> dict[int, str]:
    """Return when each node has connected: what differs if it was away meanwhile."""
    return {node.node_id: node.last_activated_at for node in present}
