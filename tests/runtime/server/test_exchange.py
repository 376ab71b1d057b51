"""What is sent to nodes and comes from them, over a grid of Flower's."""

import json
import time

import numpy as np
import pytest
from fakes.grid import Silent, Trained
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from federator.errors import RunError
from federator.runtime.link.gateway import Folder
from federator.runtime.protocol import messages
from federator.runtime.protocol.disclosure import Policy
from federator.runtime.protocol.evaluation.tasks import Task
from federator.runtime.protocol.instructions import Instruction
from federator.runtime.server.exchange import Exchange
from federator.runtime.server.packing import Order
from federator.runtime.server.storage.store import Store

pytestmark = pytest.mark.usefixtures("in_a_run")


def test_messages_to_many_sites_go_out_a_few_at_a_time(tmp_path):
    """Else the first site is told of its message long before the server has sent it."""
    grid = Silent()
    grid.refused = frozenset({6})
    order = Order(Instruction("evaluate", 1, time.time() + 60))
    exchange = Exchange(grid, 7, None, Store(tmp_path), POLICY)
    sent = exchange.send(dict.fromkeys(range(1, 11), order), set(), time.time() + 60)
    assert sum(grid.together) == 10
    assert max(grid.together) <= 4
    lost = [(node, answer.failure.reason) for node, answer in exchange.poll(sent)]
    assert lost == [(node, "lost") for node in (5, 6, 7, 8)], "those with what is too large"
    assert [item.node for item in sent.values()] == [1, 2, 3, 4, 9, 10]


def test_a_site_s_counter_is_incremented_for_each_message_when_it_is_there(tmp_path):
    grid, store = Silent(), Store(tmp_path)
    grid.refused = frozenset({8})
    exchange, reader, read = (
        Exchange(grid, 7, None, store, POLICY),
        Folder(tmp_path),
        [],
    )
    for number in (1, 2):
        order = Order(Instruction("evaluate", number, time.time() + 60))
        exchange.send(dict.fromkeys(range(10), order), set(), time.time() + 60)
        told = {m.metadata.dst_node_id: messages.Received.of(m).instruction for m in grid.sent}
        counters = {node: json.loads(text)["counter"] for node, text in told.items()}
        assert len(set(counters.values())) == 10
        read.append([reader.read_counter(counters[node]) for node in range(10)])
    assert read == [[1] * 8 + [0, 0], [2] * 8 + [0, 0]]


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
    exchange = Exchange(Trained(store, {"w": update}), 7, None, store, POLICY)
    order = Order(Instruction("train", 1, time.time() + 60), store.keep({"w": model}))
    ((node, answer),) = exchange.poll(exchange.send({42: order}, {42}, time.time() + 60))
    assert (node, answer.site) == (42, "north")
    if bad:
        assert str(answer.failure).count("tensor w has NaN or infinite values")
        assert answer.weights is None
    else:
        np.testing.assert_array_equal(answer.weights.load()["w"], update)


POLICY = Policy(Task("classification", 2))


class Hostile(Silent):
    """A grid with a site that answers what it likes."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def pull_messages(self, _):
        for order in self.sent:
            order.metadata.__dict__["_message_id"] = f"to {order.metadata.dst_node_id}"
        return [self.answer(order) for order in self.sent]


def site(**changed):
    said = {"name": "north", "num-examples": 10, "num-examples-val": 10, "num-examples-test": 10,
            "val.loss": 0.5, "val.table.confusion": [5, 0, 0, 5]}  # fmt: skip
    return ConfigRecord({k: v for k, v in {**said, **changed}.items() if v is not None})


def arrays(data, **changed):
    fields = {"dtype": "uint8", "shape": (1,), "stype": "safetensors", "data": data, **changed}
    return ArrayRecord({"safetensors": Array(**fields)})


def header(text, body=b""):
    return arrays(len(text).to_bytes(8, "little") + text + body)


DEEP = b"[" * 100_000
TRAINED = {"w": np.ones(4, np.float32)}
HOSTILE = {
    "no arrays": (site(), None),
    "garbage": (site(), arrays(b"garbage")),
    "nothing": (site(), arrays(b"")),
    "another name": (site(), ArrayRecord({"w": Array(TRAINED["w"])})),
    "deep": (site(), header(DEEP)),
    "endless": (site(), header(b'{"w":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,4]}}')),
    "huge": (site(), header(b'{"w":{"dtype":"F32","shape":[0,9e99],"data_offsets":[0,0]}}')),
    "another shape": (site(), messages.to_record({"w": np.ones(5, np.float32)})),
    "not finite": (site(), messages.to_record({"w": np.full(4, np.nan, np.float32)})),
    "parts": (site(parts="[" * 100_000), None),
    "parts of a number": (site(parts=5), None),
    "sizes": (site(**{"num-examples": -9}), messages.to_record(TRAINED)),
    "three labels": (site(**{"val.table.confusion": [1] * 9}), messages.to_record(TRAINED)),
    "a bytes name": (site(name=b"x", **{"val.loss": None}), messages.to_record(TRAINED)),
}


@pytest.mark.parametrize(("config", "weights"), HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_site_answers_is_at_most_its_own_failure(tmp_path, config, weights):
    def answer(order):
        if order.metadata.dst_node_id == 43:
            config, weights = site(name="south"), messages.to_record(TRAINED)
        else:
            config, weights = hostile
        return Message(
            RecordDict({"site": config} | ({} if weights is None else {"arrays": weights})),
            reply_to=order,
        )

    hostile, store = (config, weights), Store(tmp_path)
    exchange = Exchange(Hostile(answer), 7, None, store, POLICY)
    order = Order(
        Instruction("train", 1, time.time() + 60, sets=("val",)),
        store.keep({"w": np.zeros(4, np.float32)}),
    )
    sent = exchange.send({42: order, 43: order}, set(), time.time() + 60)
    answers = dict(exchange.poll(sent))
    assert answers[42].failure.reason == "rejected"
    assert answers[42].weights is None and answers[42].outcome is None
    assert answers[43].failure is None and answers[43].weights is not None


def test_an_error_of_the_server_s_own_in_reading_a_reply_costs_that_reply(tmp_path, monkeypatch):
    monkeypatch.setattr("federator.runtime.protocol.replies.outcome_in", lambda *_: 1 / 0)
    exchange = Exchange(
        Hostile(lambda order: Message(RecordDict({"site": site()}), reply_to=order)),
        7, None, Store(tmp_path), POLICY,
    )  # fmt: skip
    order = Order(Instruction("evaluate", 1, time.time() + 60))
    ((_, answer),) = exchange.poll(exchange.send({42: order}, set(), time.time() + 60))
    assert answer.failure.reason == "rejected"


def test_an_instruction_that_no_site_would_take_is_not_sent(tmp_path):
    exchange = Exchange(Silent(), 7, None, Store(tmp_path), POLICY)
    order = Order(Instruction("evaluate", 1, time.time() + 60, model="x" * 70_000))
    with pytest.raises(RunError, match="a site takes 65536"):
        exchange.send({42: order}, set(), time.time() + 60)
