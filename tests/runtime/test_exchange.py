"""What is sent to nodes and comes from them, over a grid of Flower's."""

import json
import time

import numpy as np
import pytest
from made_up_grid import Silent, Trained

from federator.runtime import messages
from federator.runtime.exchange import Exchange, Order
from federator.runtime.instructions import Instruction
from federator.runtime.store import Store
from federator.runtime.transfer import Folder

pytestmark = pytest.mark.usefixtures("in_a_run")


def test_messages_to_many_sites_go_out_a_few_at_a_time(tmp_path):
    """Else the first site is told of its message long before the server has sent it."""
    grid = Silent()
    grid.refused = frozenset({6})
    order = Order(Instruction("evaluate", 1, time.time() + 60))
    exchange = Exchange(grid, 7, None, Store(tmp_path))
    sent = exchange.send(dict.fromkeys(range(1, 11), order), set(), time.time() + 60)
    assert sum(grid.together) == 10
    assert max(grid.together) <= 4
    lost = [(node, answer.failure.reason) for node, answer in exchange.poll(sent)]
    assert lost == [(node, "lost") for node in (5, 6, 7, 8)], "those with what is too large"
    assert [item.node for item in sent.values()] == [1, 2, 3, 4, 9, 10]


def test_a_site_s_bell_rings_for_each_message_when_it_is_there(tmp_path):
    grid, store = Silent(), Store(tmp_path)
    grid.refused = frozenset({8})
    exchange, ear, rang = Exchange(grid, 7, None, store), Folder(tmp_path), []
    for number in (1, 2):
        order = Order(Instruction("evaluate", number, time.time() + 60))
        exchange.send(dict.fromkeys(range(10), order), set(), time.time() + 60)
        told = {m.metadata.dst_node_id: messages.Received.of(m).instruction for m in grid.sent}
        bells = {node: json.loads(text)["bell"] for node, text in told.items()}
        assert len(set(bells.values())) == 10
        rang.append([ear.listen(bells[node]) for node in range(10)])
    assert rang == [[1] * 8 + [0, 0], [2] * 8 + [0, 0]]


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
    exchange = Exchange(Trained(store, {"w": update}), 7, None, store)
    order = Order(Instruction("train", 1, time.time() + 60), store.keep({"w": model}))
    ((node, answer),) = exchange.poll(exchange.send({42: order}, {42}, time.time() + 60))
    assert (node, answer.site) == (42, "north")
    if bad:
        assert str(answer.failure).count("tensor w has NaN or infinite values")
        assert answer.weights is None
    else:
        np.testing.assert_array_equal(answer.weights.load()["w"], update)
