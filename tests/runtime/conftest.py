"""What tests of several of the runtime's modules need."""

import pytest
from flwr.supercore.task_identity import TaskIdentity


@pytest.fixture
def in_a_run(monkeypatch):
    """Be a process of Flower's run 7, as whoever writes a message must."""
    for name, value in (("_run_id", 7), ("_task_id", 1), ("_node_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)
