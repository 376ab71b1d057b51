"""The signer as a process: who reaches what of it, and what it takes to stop it."""

import os
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from fakes.signer import rounds, train

from federator.deploy.local.processes import Processes
from federator.errors import InputError, RunError
from federator.runtime.keys.coordinator_key import CoordinatorKey
from federator.runtime.protocol.instructions import verify
from federator.runtime.protocol.signing.connection import MOST_BYTES, SignerClient
from federator.runtime.signer.process import main

KEY = Ed25519PrivateKey.generate()


class Signer:
    """A signer that runs, and its two sockets."""

    def __init__(self, root, processes):
        self.root, self.processes = root, processes
        pem = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (root / "coordinator.key").write_bytes(pem)
        self.server, self.orders = SignerClient(root / "server"), SignerClient(root / "orders")
        command = [
            *(sys.executable, "-m", "federator.runtime", "signer"),
            f"--signing-key={root / 'coordinator.key'}",
            f"--ledger={root / 'ledger'}",
            f"--socket={root / 'server'}",
            f"--orders={root / 'orders'}",
        ]
        processes.start("signer", command, os.environ)
        assert self.server.public_key() == self.orders.public_key()

    def kill(self):
        os.kill(self.processes.pid("signer"), 9)
        while self.processes.ended("signer") is None:
            time.sleep(0.01)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    root = tmp_path_factory.mktemp("signer")
    with Processes(root / "logs") as processes:
        yield Signer(root, processes)


@pytest.fixture
def order(signer):
    """An order that is open as long as the test lasts."""
    order = signer.orders.give(rounds())
    yield order
    signer.orders.close_order(order.number, "stopped")


@pytest.mark.parametrize("asked", [lambda at: at.give(rounds()), lambda at: at.orders()])
def test_orders_are_not_given_where_the_server_asks(signer, asked):
    before = signer.orders.orders()
    with pytest.raises(RunError, match="the signer refuses: it is not asked for this here"):
        asked(signer.server)
    assert signer.orders.orders() == before


def test_nothing_is_signed_where_orders_are_given(signer, order):
    del order
    with pytest.raises(RunError, match="it is not asked for this here"):
        signer.orders.sign([train(1)])


def test_one_order_is_open_at_a_time(signer, order):
    assert signer.server.order() == order and order.by == "the tests"
    with pytest.raises(RunError, match=r"is open: wait for its end, or stop it \(order --stop\)"):
        signer.orders.give(rounds())
    signer.server.close_order(order.number + 1, "finished")
    assert signer.server.order() == order, "another one's end is not this one's"
    signer.server.close_order(order.number, "finished")
    assert signer.server.order() is None


def test_an_order_that_has_lapsed_is_not_taken(signer):
    with pytest.raises(RunError, match="an order holds until a time to come"):
        signer.orders.give(rounds(hours=-1))


def test_many_instructions_are_signed_at_once(signer, order):
    del order
    asked = [train(number, node=node) for node in range(300) for number in (1, 2, 3)]
    known = [CoordinatorKey.of(KEY.public_key())]
    padded = [train(1, node=999, settings={f"s{n}": "x" * 200 for n in range(32)})]
    for request, signature in zip(asked + padded, signer.server.sign(asked + padded), strict=True):
        verify(known, signature, request.text, 7, request.node, request.digest)
    assert signer.server.sign([]) == []


def test_a_signer_that_is_killed_goes_on_where_it_was(signer, order):
    signer.server.sign([train(1)])
    signer.kill()
    signer.processes.restart("signer")
    assert signer.server.order() == order
    with pytest.raises(RunError, match="was asked this of another model"):
        signer.server.sign([train(1, weights="b")])
    assert len(signer.server.sign([train(1)])) == 1


def framed(data):
    return len(data).to_bytes(4) + data


HOSTILE = {
    "nothing": b"",
    "half a length": b"\0\0",
    "a length and no more": MOST_BYTES.to_bytes(4),
    "too long": (MOST_BYTES + 1).to_bytes(4) + b"x",
    "no JSON": framed(b"nope"),
    "a list": framed(b"[]"),
    "deep": framed(b"[" * 200_000),
    "no such question": framed(b'{"what": "keys"}'),
    "no form": framed(b'{"what": "sign", "requests": 1}'),
    "no request": framed(b'{"what": "sign", "requests": [{"text": 1}]}'),
    "an infinite number": framed(b'{"what": "close", "number": Infinity, "state": null}'),
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE)
def test_whatever_is_sent_ends_nothing(signer, order, sent):
    with closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(60)
        connection.connect(str(signer.root / "server"))
        connection.sendall(sent)
        answer = b""
        with suppress(ConnectionError):  # the signer has hung up before it read all
            connection.shutdown(socket.SHUT_WR)
            answer = connection.recv(10_000)
    assert answer == b"" or b'"refused"' in answer
    assert signer.processes.ended("signer") is None
    assert signer.server.order() == order


def test_no_other_process_of_the_user_reads_its_memory():
    code = (
        "import ctypes; from federator.runtime.signer.process import _keep_memory_closed as close\n"
        "libc = ctypes.CDLL(None); before = libc.prctl(3); close(); print(before, libc.prctl(3))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "1 0\n", "PR_GET_DUMPABLE, prctl(2)"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read: No such file"), ("a key", "is not an Ed25519")]
)
def test_a_key_that_is_none_is_told(tmp_path, content, words):
    path = tmp_path / "coordinator.key"
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=words) as told:
        main([f"--signing-key={path}", f"--ledger={tmp_path}", f"--socket={tmp_path / 's'}"])
    assert "SERVER_USER" in told.value.problems[0].hint


def test_a_ledger_that_is_none_is_told(tmp_path):
    (tmp_path / "orders.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="the signer's ledger cannot be read"):
        main([f"--ledger={tmp_path}", f"--socket={tmp_path / 's'}"])


def test_a_signer_that_is_away_is_told(tmp_path):
    with pytest.raises(RunError, match="does not answer") as told:
        SignerClient(tmp_path / "absent", patience=0.1).order()
    assert "logs signer" in told.value.problems[0].hint
