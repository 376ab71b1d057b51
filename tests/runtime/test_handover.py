"""The handover between link and worker: packets, sealed memory, and a worker that dies."""

import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from federator.runtime.handover import Channel, Counter, HandoverError, connect
from federator.runtime.sealed import Sealed

WEIGHTS = {"a": np.arange(1000, dtype=np.float32), "n": np.array(3)}


@pytest.fixture
def ends():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pair = Channel(left), Channel(right)
    yield pair
    for channel in pair:
        channel.close()


def test_packets_and_weights_arrive_as_they_were_sent(ends):
    ends[0].send({"instruction": "train"}, Sealed.of(WEIGHTS))
    packet, sealed = ends[1].receive()
    assert packet["instruction"] == "train"
    assert np.array_equal(sealed.weights["a"], WEIGHTS["a"])
    assert sealed.weights["n"].shape == ()
    ends[1].send({"done": True})
    assert ends[0].receive() == ({"version": 1, "done": True}, None)


def test_memory_that_is_not_sealed_is_refused(ends, tmp_path):
    memory = os.memfd_create("open", os.MFD_ALLOW_SEALING)
    os.write(memory, b"x" * 100)
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    for fd in (memory, file):
        socket.send_fds(ends[0]._socket, [b'{"version": 1}'], [fd])
        with pytest.raises(HandoverError, match="not sealed"):
            ends[1].receive()
        os.close(fd)


@pytest.mark.parametrize("data", [b"junk", b"[]", b"{}", b'{"version": 2}'])
def test_packets_of_another_form_or_version_are_refused(data):
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        left.send(data)
        with pytest.raises(HandoverError, match="version 1"):
            Channel(right).receive()


def test_no_descriptor_is_left_open(ends):
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        ends[0].send({}, Sealed.of(WEIGHTS))
        _, sealed = ends[1].receive()
        del sealed
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_link_waits_for_a_worker_and_no_longer_than_told(tmp_path):
    counter = Counter(tmp_path / "socket")
    assert counter.worker(time.time() + 0.05) is None
    worker = connect(tmp_path / "socket", 1)
    assert counter.worker(time.time() + 1) is not None
    worker.close()
    assert counter.worker(time.time() + 0.05) is None


def test_a_worker_that_dies_is_noticed_before_the_deadline(tmp_path):
    counter = Counter(tmp_path / "socket")
    worker = connect(tmp_path / "socket", 1)
    counter.worker(time.time() + 1).send({"instruction": "train"})
    threading.Timer(0.1, worker.close).start()
    with pytest.raises(HandoverError):
        counter.answer(time.time() + 60)


def test_a_worker_that_takes_too_long_is_given_up(tmp_path):
    counter = Counter(tmp_path / "socket")
    worker = connect(tmp_path / "socket", 1)
    assert counter.worker(time.time() + 1) is not None
    assert counter.answer(time.time() + 0.05) is None
    worker.close()


def test_a_new_worker_takes_the_place_of_the_old_one(tmp_path):
    counter = Counter(tmp_path / "socket")
    old = connect(tmp_path / "socket", 1)
    assert counter.worker(time.time() + 1) is not None
    new = connect(tmp_path / "socket", 1)
    counter.worker(time.time() + 1).send({"for": "new"})
    assert new.receive()[0]["for"] == "new"
    with pytest.raises(HandoverError):
        old.receive()
    new.close()


def test_a_worker_without_a_link_says_so(tmp_path):
    with pytest.raises(HandoverError, match="no link"):
        connect(tmp_path / "nothing", 0)
