"""The server's sites with the sites: who has come, who is late, whom it asks when."""

import time

import numpy as np
import pytest
from fakes.grid import Silent, Trained
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.proto.node_pb2 import NodeInfo

from federator.runtime.protocol import messages, replies
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.protocol.outcomes import Failure, Outcome
from federator.runtime.server import sites as sites_module
from federator.runtime.server.exchange import Exchange
from federator.runtime.server.packing import Order
from federator.runtime.server.sites import Sites
from federator.runtime.server.storage import update_receiver
from federator.runtime.server.storage.store import Store
from federator.runtime.server.waits import waiting

SIZES = {"trainset": 3, "valset": 1, "testset": 1}

pytestmark = pytest.mark.usefixtures("in_a_run")


class Clock:
    """A clock that goes on only while somebody waits, in the place of the module ``time``.

    (And by a microsecond when it is looked at, as no two looks at a real one are the same.)
    """

    def __init__(self):
        self.now, self.due = time.time(), []

    def time(self):
        self.now += 1e-6
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds
        for at, then in list(self.due):
            if at <= self.now:
                self.due.remove((at, then))
                then()


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    for module in (sites_module, update_receiver, waiting):
        monkeypatch.setattr(module, "time", made)
    return made


def sites_of(grid, store):
    return Sites(
        grid,
        Exchange(grid, 7, None, store, Policy(Task("classification", 2))),
        True,
        lambda _: True,
    )


def test_a_site_that_is_late_is_told_so(tmp_path, clock):
    sites = sites_of(Silent(), Store(tmp_path))
    sites.nodes["north"] = 42
    deadline = clock.time() + 1.2
    order = Order(Instruction("evaluate", 1, deadline))
    answer = sites.ask({"north": order}, deadline)["north"]
    assert answer.failure.reason == "late"


def test_a_site_that_flower_tells_is_lost_joins_again(tmp_path, clock):
    """Also if that comes before a look at which nodes are connected shows it."""
    grid = Silent()
    grid.refused = frozenset({42})
    sites = sites_of(grid, Store(tmp_path))
    sites.nodes["north"] = 42
    deadline = clock.time() + 60
    answer = sites.ask({"north": Order(Instruction("train", 1, deadline))}, deadline)["north"]
    assert answer.failure.reason == "lost"
    assert "north" not in sites.nodes


class Returned(Silent):
    """A grid with a site that has just come back, and answers after so many seconds."""

    def __init__(self, clock: Clock, after: float) -> None:
        super().__init__()
        self.clock, self.from_now_on = clock, clock.now + after

    def pull_messages(self, _):
        heard = self.sent if self.clock.now >= self.from_now_on else []
        for greeting in heard:
            greeting.metadata.__dict__["_message_id"] = "to 42"
        return [replies.failure_reply(Failure("no-worker"), one, "north") for one in heard]


@pytest.mark.parametrize(("after", "heard"), [(0.0, ["north"]), (0.3, ["north"]), (60.0, [])])
def test_who_has_come_back_is_waited_for_but_not_for_long_and_not_twice(
    tmp_path, clock, after, heard
):
    sites = sites_of(Returned(clock, after), Store(tmp_path))
    order = Order(Instruction("join", 0, clock.now + 60))
    began = clock.now
    assert [answer.site for answer in sites.welcome(order, frozenset(), 1.0)] == heard
    assert clock.now - began == pytest.approx(min(after, 1.0), abs=0.1)
    if not heard:
        began = clock.now
        assert list(sites.welcome(order, frozenset(), 10.0)) == []
        assert clock.now - began < 0.01


def test_who_was_away_while_it_was_greeted_is_greeted_again(tmp_path, clock):
    grid = Returned(clock, 60.0)
    sites = sites_of(grid, Store(tmp_path))
    order = Order(Instruction("join", 0, clock.now + 60))
    assert list(sites.welcome(order, frozenset(), 0.0)) == []
    grid.get_nodes = lambda: [NodeInfo(node_id=42, name="north", last_activated_at="later")]
    greeting = grid.sent.pop()
    assert list(sites.welcome(order, frozenset(), 0.0)) == []
    assert [again.metadata.dst_node_id for again in grid.sent] == [greeting.metadata.dst_node_id]


class Crowded(Silent):
    """A grid whose second node appears while the first one trains, and answers a greeting later."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock, self.greeted = clock, None

    def get_nodes(self):
        here = super().get_nodes()
        return [*here, NodeInfo(node_id=43, name="south")] if self.sent else here

    def pull_messages(self, _):
        greetings = [message for message in self.sent if message.metadata.dst_node_id == 43]
        if greetings and self.greeted is None:
            self.greeted = self.clock.now
        heard = greetings if greetings and self.clock.now > self.greeted + 0.7 else []
        for greeting in heard:
            greeting.metadata.__dict__["_message_id"] = "to 43"
        return [replies.failure_reply(Failure("no-worker"), one, "south") for one in heard]


@pytest.mark.parametrize("seconds", [3.5, 2.4], ids=["before the round ends", "after it"])
def test_who_comes_during_a_round_is_greeted_in_it(tmp_path, clock, seconds):
    """Its answer is there when the next round begins, or is waited for then."""
    grid = Crowded(clock)
    sites = sites_of(grid, Store(tmp_path))
    greeting = Order(Instruction("join", 0, clock.now + 60))
    sites.nodes["north"] = 42
    assert list(sites.welcome(greeting, frozenset(), 0.0)) == []
    order = Order(Instruction("evaluate", 1, clock.now + 60))
    assert sites.ask({"north": order}, clock.now + seconds)["north"].failure
    assert [message.metadata.dst_node_id for message in grid.sent] == [42, 43]
    patience = 0.0 if seconds == 3.5 else 2.0
    answers = list(sites.welcome(greeting, frozenset(), patience))
    assert {answer.site for answer in answers} == {"south"}


class Starting(Silent):
    """A grid whose second site starts while the first one works, which ends when that has joined.

    Its worker is there only when it is greeted for the second time.
    """

    def get_nodes(self):
        here = super().get_nodes()
        return [*here, NodeInfo(node_id=43, name="south")] if self.sent else here

    def pull_messages(self, ids):
        greetings = [m for m in self.sent if m.metadata.dst_node_id == 43]
        for message in self.sent:
            message.metadata.__dict__["_message_id"] = f"to {message.metadata.dst_node_id}"
        if "to 43" in ids and len(greetings) == 1:
            return [replies.failure_reply(Failure("no-worker"), greetings[0], "south")]
        if "to 43" in ids:
            said = replies.site_record("south")
            return [replies.outcome_reply(greetings[1], said, Outcome(SIZES))]
        if len(greetings) == 2:
            return [replies.failure_reply(Failure("data-empty"), self.sent[0], "north")]
        return []


def test_a_site_whose_worker_is_starting_joins_in_the_round(tmp_path, monkeypatch):
    """It is greeted until it can answer, each time with as long for that as the first time."""
    monkeypatch.setattr(sites_module, "_ROLL_CALL", 0.0)
    grid = Starting()
    sites = sites_of(grid, Store(tmp_path))
    sites.nodes["north"] = 42
    greeting = Order(Instruction("join", 0, time.time() + 60))
    assert list(sites.welcome(greeting, frozenset(), 0.0)) == []
    heard = []
    order = Order(Instruction("evaluate", 1, time.time() + 60))
    sites.ask({"north": order}, time.time() + 60, heard.append)
    assert [(answer.site, answer.failure is None) for answer in heard] == [
        ("south", False), ("south", True)
    ]  # fmt: skip
    assert sites.nodes == {"north": 42, "south": 43}
    first, second = (
        Instruction.read(messages.Received.of(message).instruction).expires
        for message in grid.sent
        if message.metadata.dst_node_id == 43
    )
    assert greeting.instruction.expires < first < second


def test_who_could_not_join_when_a_round_began_is_greeted_again_at_once(tmp_path, clock):
    grid = Returned(clock, 0.0)
    sites = sites_of(grid, Store(tmp_path))
    order = Order(Instruction("join", 0, clock.now + 60))
    assert len(list(sites.welcome(order, frozenset(), 1.0))) == 1
    grid.sent.clear()
    assert len(list(sites.welcome(order, frozenset(), 1.0))) == 1


class Slow(Trained):
    """A grid with a site that hands in its update after so many seconds."""

    def __init__(self, store, update, clock, after):
        super().__init__(store, update)
        self.asked, self.handed_in, self.clock = [], None, clock
        clock.due.append((clock.now + after, self.hand_in))

    def hand_in(self):
        self.replies = super().pull_messages(None)
        self.handed_in = self.clock.now

    def pull_messages(self, _):
        self.asked.append(self.clock.now)
        return self.replies if self.handed_in else []


@pytest.mark.parametrize("changed", [slice(None), slice(0, 1)], ids=["all parts", "one part"])
def test_the_server_asks_seldom_until_an_update_is_there_and_then_at_once(tmp_path, clock, changed):
    store, model = Store(tmp_path), np.ones(700_000, np.float32)
    update = model.copy()
    update[changed] = 2.0
    grid = Slow(store, {"w": update}, clock, 3.0)
    sites = sites_of(grid, store)
    sites.nodes["north"], sites._since[42] = 42, ""
    sites._by_files.add(42)
    order = Order(Instruction("train", 1, clock.now + 60), store.keep({"w": model}))
    answer = sites.ask({"north": order}, clock.now + 60)["north"]
    np.testing.assert_array_equal(answer.weights.load()["w"], update)
    assert len([at for at in grid.asked if at < grid.handed_in]) < 14
    assert grid.asked[-1] - grid.handed_in < 0.5


class Growing(Silent):
    """A grid with a site that says each time that it has one example more."""

    examples = 20

    def pull_messages(self, _):
        replied, self.sent = self.sent, []
        for order in replied:
            order.metadata.__dict__["_message_id"] = "to 42"
            self.examples += 1
        said = replies.site_record("north")
        outcome = Outcome({"trainset": self.examples, "valset": 1, "testset": 1})
        return [replies.outcome_reply(order, said, outcome) for order in replied]


def test_a_site_whose_sets_have_another_size_than_it_joined_with_has_to_join_again(tmp_path):
    """Its share in the model follows from what it says."""
    grid = Growing()
    sites = sites_of(grid, Store(tmp_path))
    until = time.time() + 60
    greeting = Order(Instruction("join", 0, until))
    (joined,) = sites.welcome(greeting, frozenset(), 5.0)
    assert joined.outcome.examples["trainset"] == 21
    answer = sites.ask({"north": Order(Instruction("evaluate", 1, until))}, until)["north"]
    assert answer.failure.reason == "sizes" and answer.outcome is None
    assert sites.nodes == {}
    (again,) = sites.welcome(greeting, frozenset(), 5.0)
    assert again.outcome.examples["trainset"] == 23
    grid.examples -= 1
    answer = sites.ask({"north": Order(Instruction("evaluate", 1, until))}, until)["north"]
    assert answer.failure is None and answer.outcome.examples["trainset"] == 23


class Restarted(Silent):
    """A grid with a site whose link is started again, before it could answer.

    Its first greeting is lost with it. Until it has followed another one it says what a link says
    that follows an instruction once.
    """

    def __init__(self):
        super().__init__()
        self.activated = "first"

    def get_nodes(self):
        here = [NodeInfo(node_id=42, name="north", last_activated_at=self.activated)]
        if self.sent:
            self.activated = "second"
        return here

    def pull_messages(self, ids):
        if len(self.sent) < 2 or "to 42" not in ids:
            return []
        first, last = self.sent[0], self.sent[-1]
        last.metadata.__dict__["_message_id"] = "to 42"
        told = [messages.Received.of(one).instruction for one in (first, last)]
        if told[0] == told[1]:
            failure = Failure("refused", "this instruction was followed before")
            return [replies.failure_reply(failure, last, "north")]
        return [replies.outcome_reply(last, replies.site_record("north"), Outcome(SIZES))]


class ToldLost(Restarted):
    """The same, where Flower says that the first greeting is lost before the connection is new."""

    def get_nodes(self):
        return [NodeInfo(node_id=42, name="north", last_activated_at="first")]

    def pull_messages(self, ids):
        if len(self.sent) > 1:
            return super().pull_messages(ids)
        (greeting,) = self.sent
        greeting.metadata.__dict__["_message_id"] = "to 42"
        return [Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=greeting)]


@pytest.mark.parametrize("grid", [Restarted, ToldLost])
def test_who_is_started_again_while_it_joins_is_greeted_by_another_instruction(
    tmp_path, clock, grid
):
    sites = sites_of(grid(), Store(tmp_path))
    order, north = Order(Instruction("join", 0, clock.now + 60)), frozenset({"north"})
    answers = list(sites.join(order, north, 1, clock.now + 30))
    assert [answer.failure for answer in answers] == [None]
    assert sites.nodes == {"north": 42}


class Unready(Silent):
    """A grid with a site whose worker is there at the third greeting."""

    def pull_messages(self, _):
        last = self.sent[-1]
        last.metadata.__dict__["_message_id"] = "to 42"
        if len(self.sent) < 3:
            return [replies.failure_reply(Failure("no-worker"), last, "north")]
        return [replies.outcome_reply(last, replies.site_record("north"), Outcome(SIZES))]


def test_a_run_that_needs_a_site_waits_until_its_worker_is_there(tmp_path, clock):
    order, north = Order(Instruction("join", 0, clock.now + 60)), frozenset({"north"})
    sites = sites_of(Unready(), Store(tmp_path))
    told = [answer.failure is None for answer in sites.join(order, north, 1, clock.now + 30)]
    assert told == [False, False, True]
    sites = sites_of(Unready(), Store(tmp_path / "other"))
    told = [answer.failure is None for answer in sites.join(order, north, 0, clock.now + 30)]
    assert told == [False], "enough have joined without it"
