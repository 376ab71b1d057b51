"""The server's conversation with the sites, over a grid of Flower's that nobody answers."""

import json
import time
from threading import Timer

import numpy as np
import pytest
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.task_identity import TaskIdentity
from made_up_update import left

from federator.runtime import messages
from federator.runtime.conversation import Conversation, Order
from federator.runtime.instructions import Instruction
from federator.runtime.outcomes import Failure, Outcome
from federator.runtime.store import Store
from federator.runtime.transfer import Carrier, Folder


class Silent:
    """A grid with a node; keeps what is sent, and says nothing until that has lapsed.

    What is sent together with something for a node of ``refused`` is too large for it.
    """

    refused = frozenset()

    def __init__(self) -> None:
        self.sent, self.together = [], []

    def get_nodes(self):
        return [NodeInfo(node_id=42, name="north")]

    def push_messages(self, messages):
        self.sent += messages
        self.together.append(len(messages))
        to = [message.metadata.dst_node_id for message in messages]
        return [] if self.refused & set(to) else [f"to {node}" for node in to]

    def pull_messages(self, _):
        now = time.time()
        lapsed = [m for m in self.sent if m.metadata.created_at + m.metadata.ttl < now]
        assert not lapsed, "Flower answers for a site that is late: nobody is told so"
        return []


@pytest.fixture(autouse=True)
def identity(monkeypatch):
    """Be a process of a run, as whoever writes a message of Flower's must."""
    for name, value in (("_run_id", 7), ("_task_id", 1), ("_node_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)


def test_a_site_that_is_late_is_told_so(tmp_path):
    conversation = Conversation(Silent(), 7, None, True, Store(tmp_path), lambda _: False)
    conversation.nodes["north"] = 42
    deadline = time.time() + 1.2
    order = Order(Instruction("evaluate", 1, deadline))
    answer = conversation.ask({"north": order}, deadline)["north"]
    assert answer.failure.reason == "late"


def test_of_many_sites_none_is_told_long_before_the_server_has_sent_what_it_is_told(tmp_path):
    grid = Silent()
    grid.refused = frozenset({6})
    conversation = Conversation(grid, 7, None, True, Store(tmp_path), lambda _: False)
    conversation.nodes = {f"site-{number}": number + 1 for number in range(10)}
    deadline = time.time() + 0.2
    order = Order(Instruction("evaluate", 1, deadline))
    answers = conversation.ask(dict.fromkeys(conversation.nodes, order), deadline)
    assert len(answers) == sum(grid.together) == 10
    assert max(grid.together) <= 4
    late = [site for site, answer in answers.items() if answer.failure.reason == "late"]
    assert late == [site for site in answers if site not in sorted(answers)[4:8]]


def test_a_site_s_bell_rings_for_each_message_when_it_is_there(tmp_path):
    grid, store = Silent(), Store(tmp_path)
    grid.refused = frozenset({8})
    conversation = Conversation(grid, 7, None, True, store, lambda _: False)
    conversation.nodes = {f"site-{number}": number for number in range(10)}
    rang = []
    for round_number in (1, 2):
        deadline = time.time() + 0.1
        order = Order(Instruction("evaluate", round_number, deadline))
        conversation.ask(dict.fromkeys(conversation.nodes, order), deadline)
        ear = Folder(tmp_path)
        told = {m.metadata.dst_node_id: messages.instruction_text(m.content) for m in grid.sent}
        bells = {node: json.loads(text)["bell"] for node, text in told.items()}
        assert len(set(bells.values())) == 10
        rang.append([ear.listen(bells[node]) for node in range(10)])
    assert rang == [[1] * 8 + [0, 0], [2] * 8 + [0, 0]]


class Returned(Silent):
    """A grid with a site that has just come back, and answers after so many seconds."""

    def __init__(self, after: float) -> None:
        super().__init__()
        self.after = after

    def pull_messages(self, _):
        (greeting,) = self.sent
        if time.time() < greeting.metadata.created_at + self.after:
            return []
        greeting.metadata.__dict__["_message_id"] = "to 42"
        return [messages.failure_reply(Failure("no-worker"), greeting, "north")]


@pytest.mark.parametrize(("after", "heard"), [(0.0, ["north"]), (0.3, ["north"]), (60.0, [])])
def test_who_has_come_back_is_waited_for_but_not_for_long_and_not_twice(tmp_path, after, heard):
    conversation = Conversation(Returned(after), 7, None, True, Store(tmp_path), lambda _: False)
    order = Order(Instruction("join", 0, time.time() + 60))
    began = time.monotonic()
    assert [answer.site for answer in conversation.welcome(order, frozenset(), 1.0)] == heard
    assert time.monotonic() - began == pytest.approx(min(after, 1.0), abs=0.5)
    if not heard:
        began = time.monotonic()
        assert list(conversation.welcome(order, frozenset(), 10.0)) == []
        assert time.monotonic() - began < 5


def test_who_was_away_while_it_was_greeted_is_greeted_again(tmp_path):
    grid = Returned(60.0)
    conversation = Conversation(grid, 7, None, True, Store(tmp_path), lambda _: False)
    order = Order(Instruction("join", 0, time.time() + 60))
    assert list(conversation.welcome(order, frozenset(), 0.0)) == []
    grid.get_nodes = lambda: [NodeInfo(node_id=42, name="north", last_activated_at="later")]
    greeting = grid.sent.pop()
    assert list(conversation.welcome(order, frozenset(), 0.0)) == []
    assert [again.metadata.dst_node_id for again in grid.sent] == [greeting.metadata.dst_node_id]


class Crowded(Silent):
    """A grid whose second node appears while the first one trains, and answers a greeting later."""

    def get_nodes(self):
        here = super().get_nodes()
        return [*here, NodeInfo(node_id=43, name="south")] if self.sent else here

    def pull_messages(self, _):
        greetings = [message for message in self.sent if message.metadata.dst_node_id == 43]
        heard = [one for one in greetings if time.time() > one.metadata.created_at + 0.7]
        for greeting in heard:
            greeting.metadata.__dict__["_message_id"] = "to 43"
        return [messages.failure_reply(Failure("no-worker"), one, "south") for one in heard]


@pytest.mark.parametrize("seconds", [3.5, 2.4], ids=["before the round ends", "after it"])
def test_who_comes_during_a_round_is_greeted_in_it(tmp_path, seconds):
    """Its answer is there when the next round begins, or is waited for then."""
    grid = Crowded()
    conversation = Conversation(grid, 7, None, True, Store(tmp_path), lambda _: False)
    greeting = Order(Instruction("join", 0, time.time() + 60))
    conversation.nodes["north"] = 42
    assert list(conversation.welcome(greeting, frozenset(), 0.0)) == []
    order = Order(Instruction("evaluate", 1, time.time() + 60))
    assert conversation.ask({"north": order}, time.time() + seconds)["north"].failure
    assert [message.metadata.dst_node_id for message in grid.sent] == [42, 43]
    patience = 0.0 if seconds == 3.5 else 2.0
    answers = list(conversation.welcome(greeting, frozenset(), patience))
    assert [answer.site for answer in answers] == ["south"]


SETS = ("trainset", "valset", "testset")


class Trained(Silent):
    """A grid with a site that hands in an update as files."""

    def __init__(self, store, update):
        super().__init__()
        self.store, self.update = store, update

    def pull_messages(self, _):
        (order,) = self.sent
        parcel = messages.parcel_in(order.content)
        way = Carrier(Folder(self.store.folder))
        table = way.send(parcel, left(self.update), time.time() + 60)
        said = messages.site_record("north", True, table, 0, 0)
        order.metadata.__dict__["_message_id"] = "to 42"
        return [messages.outcome_reply(order, said, Outcome(dict.fromkeys(SETS, 3)))]


@pytest.mark.parametrize(
    ("bad", "changed"),
    [([], [0, -1]), ([-1], [-1]), ([0], [0]), ([0], [-1])],
    ids=["none", "in a part that came", "in another", "in a part that the server had"],
)
def test_an_update_with_a_number_that_is_not_finite_is_rejected(tmp_path, bad, changed):
    store = Store(tmp_path)
    model = np.ones(700_000, np.float32)
    if set(bad) - set(changed):
        model[bad] = np.nan
    update = model.copy()
    update[changed] = 2.0
    update[bad] = np.nan
    conversation = Conversation(
        Trained(store, {"w": update}), 7, None, True, store, by_files=lambda _: True
    )
    conversation.nodes["north"] = 42
    conversation._by_files.add(42)
    order = Order(Instruction("train", 1, time.time() + 60), store.keep({"w": model}))
    answer = conversation.ask({"north": order}, time.time() + 60)["north"]
    if bad:
        assert str(answer.failure).count("tensor w has NaN or infinite values")
        assert answer.weights is None
    else:
        np.testing.assert_array_equal(answer.weights.load()["w"], update)


class Slow(Trained):
    """A grid with a site that hands in its update after so many seconds."""

    def __init__(self, store, update, after):
        super().__init__(store, update)
        self.asked, self.handed_in = [], None
        self.timer = Timer(after, self.hand_in)

    def push_messages(self, messages):
        self.timer.start()
        return super().push_messages(messages)

    def hand_in(self):
        self.replies = super().pull_messages(None)
        self.handed_in = time.monotonic()

    def pull_messages(self, _):
        self.asked.append(time.monotonic())
        return self.replies if self.handed_in else []


@pytest.mark.parametrize("changed", [slice(None), slice(0, 1)], ids=["all parts", "one part"])
def test_the_server_asks_seldom_until_an_update_is_there_and_then_at_once(tmp_path, changed):
    store, model = Store(tmp_path), np.ones(700_000, np.float32)
    update = model.copy()
    update[changed] = 2.0
    grid = Slow(store, {"w": update}, 3.0)
    conversation = Conversation(grid, 7, None, True, store, by_files=lambda _: True)
    conversation.nodes["north"], conversation._since[42] = 42, ""
    conversation._by_files.add(42)
    order = Order(Instruction("train", 1, time.time() + 60), store.keep({"w": model}))
    answer = conversation.ask({"north": order}, time.time() + 60)["north"]
    np.testing.assert_array_equal(answer.weights.load()["w"], update)
    assert len([at for at in grid.asked if at < grid.handed_in]) < 14
    assert grid.asked[-1] - grid.handed_in < 0.5
