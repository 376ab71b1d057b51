"""The server's conversation with the sites, over a grid of Flower's that nobody answers."""

import time

import pytest
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.task_identity import TaskIdentity

from federator.runtime.conversation import Conversation, Order
from federator.runtime.instructions import Instruction
from federator.runtime.store import Store


class Silent:
    """A grid with one node; keeps what is sent, and says nothing until that has lapsed."""

    def __init__(self) -> None:
        self.sent = []

    def get_nodes(self):
        return [NodeInfo(node_id=42, name="north")]

    def push_messages(self, messages):
        self.sent += messages
        return [str(number) for number in range(len(self.sent))]

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
