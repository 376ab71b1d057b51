"""What every test of random changes needs."""

import logging

import pytest
from flwr.supercore.task_identity import TaskIdentity


@pytest.fixture(autouse=True)
def in_a_run(monkeypatch):
    """Be a process of Flower's run 7, as whoever writes a message must."""
    for name, value in (("_run_id", 7), ("_task_id", 1), ("_node_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)


@pytest.fixture(autouse=True)
def no_traceback():
    """Fail if an exception is logged with its traceback: nobody has foreseen it."""
    told = []

    class Handler(logging.Handler):
        def emit(self, record):
            if record.exc_info:
                told.append(record)

    handler = Handler()
    logging.getLogger("federator").addHandler(handler)
    yield
    logging.getLogger("federator").removeHandler(handler)
    assert not told, told[0].exc_text or told[0].getMessage()
