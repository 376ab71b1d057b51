"""The handover between link and worker: packets, shared memory, and a worker that dies."""

import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from federator.runtime.protocol.handover import Channel, HandoverError, WorkerListener, connect
from federator.runtime.protocol.shared_memory import Memory

WEIGHTS = {"a": np.arange(1000, dtype=np.float32), "n": np.array(3)}


@pytest.fixture
def ends():
    """Return a link's end and a worker's."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pair = Channel(left), Channel(right, most=2)
    yield pair
    for channel in pair:
        channel.close()


def test_packets_and_memory_arrive_as_they_were_sent(ends):
    link, worker = ends
    link.send({"instruction": "train"}, Memory.of(WEIGHTS), Memory.new(100))
    packet, (model, update) = worker.receive()
    assert packet["instruction"] == "train"
    assert np.array_equal(model.weights["a"], WEIGHTS["a"])
    assert len(update.buffer) == 100
    worker.send({"done": True})
    assert link.receive() == ({"version": 2, "done": True}, [])


def test_a_link_takes_nothing_from_a_worker_but_packets(ends, tmp_path):
    link, worker = ends
    before = len(list(Path("/proc/self/fd").iterdir()))
    with (tmp_path / "file").open("wb") as file:
        socket.send_fds(worker._socket, [b'{"version": 2}'], [file.fileno()])
    assert link.receive() == ({"version": 2}, [])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("data", [b"junk", b"[]", b"[" * 10**5, b"{}", b'{"version": 1}'])
def test_packets_of_another_form_or_version_are_refused(data):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        left.send(data)
        with pytest.raises(HandoverError, match="version 2"):
            Channel(right).receive()


def test_no_descriptor_is_left_open(ends):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        ends[0].send({}, model := Memory.of(WEIGHTS), Memory.new(100))
        ends[1].receive()
    ends[0].send({})
    ends[1].receive()
    del model
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_link_waits_for_a_worker_and_no_longer_than_told(tmp_path):
    listener = WorkerListener(tmp_path / "socket")
    assert listener.worker(time.time() + 0.05) is None
    worker = connect(tmp_path / "socket", 1)
    assert listener.worker(time.time() + 1) is not None
    worker.close()
    assert listener.worker(time.time() + 0.05) is None


def test_a_worker_that_dies_is_noticed_before_the_deadline(tmp_path):
    listener = WorkerListener(tmp_path / "socket")
    worker = connect(tmp_path / "socket", 1)
    listener.worker(time.time() + 1).send({"instruction": "train"})
    threading.Timer(0.1, worker.close).start()
    with pytest.raises(HandoverError):
        listener.answer(time.time() + 60)


def test_a_worker_that_takes_too_long_is_given_up(tmp_path):
    listener = WorkerListener(tmp_path / "socket")
    worker = connect(tmp_path / "socket", 1)
    assert listener.worker(time.time() + 1) is not None
    assert listener.answer(time.time() + 0.05) is None
    worker.close()


def test_a_worker_that_reads_nothing_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("federator.runtime.protocol.handover._UNREAD", 0.1)
    listener = WorkerListener(tmp_path / "socket")
    worker = connect(tmp_path / "socket", 1)
    link = listener.worker(time.time() + 1)
    with pytest.raises(HandoverError, match="gone"):
        for _ in range(100):
            link.send({"instruction": "x" * 10_000})
    worker.close()


def test_a_new_worker_takes_the_place_of_the_old_one(tmp_path):
    listener = WorkerListener(tmp_path / "socket")
    old = connect(tmp_path / "socket", 1)
    assert listener.worker(time.time() + 1) is not None
    new = connect(tmp_path / "socket", 1)
    listener.worker(time.time() + 1).send({"for": "new"})
    assert new.receive()[0]["for"] == "new"
    with pytest.raises(HandoverError):
        old.receive()
    new.close()


@pytest.mark.parametrize("how", ["removed", "replaced", "linked"])
def test_a_socket_that_a_worker_takes_away_is_made_again(tmp_path, how):
    path, other = tmp_path / "socket", tmp_path / "other"
    other.write_text("")
    other.chmod(0o600)
    listener = WorkerListener(path)
    path.unlink()
    if how == "replaced":
        path.write_text("")
    elif how == "linked":
        path.symlink_to(other)
    assert listener.worker(0) is None
    worker = connect(path, 0)
    assert listener.worker(time.time() + 60) is not None
    assert (path.stat().st_mode & 0o777, other.stat().st_mode & 0o777) == (0o660, 0o600)
    worker.close()


def test_a_socket_that_cannot_be_made_again_ends_no_link(tmp_path):
    path = tmp_path / "socket"
    listener = WorkerListener(path)
    path.unlink()
    path.mkdir()
    assert listener.worker(0) is None
    path.rmdir()
    assert listener.worker(0) is None
    connect(path, 0).close()


def test_a_worker_without_a_link_says_so(tmp_path):
    with pytest.raises(HandoverError, match="no link"):
        connect(tmp_path / "nothing", 0)
