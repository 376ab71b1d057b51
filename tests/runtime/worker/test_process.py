"""The worker's process, by itself."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from fakes.images import lay_out

from federator.runtime.flower import app_hash
from federator.runtime.protocol.handover import Channel, HandoverError
from federator.runtime.protocol.outcomes import Failure
from federator.runtime.protocol.shared_memory import Memory
from federator.runtime.worker.process import Worker, require_assets, serve, spare_processors


@pytest.fixture
def app(tmp_path):
    lay_out(tmp_path)
    return tmp_path / "build" / "tumours" / "app"


def start(app, *arguments):
    command = [sys.executable, "-m", "federator.runtime", "worker", "--app", str(app), *arguments]
    command += ["--site", "north", "--data", str(app), "--socket", str(app.parent / "socket")]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_it_does_not_start_with_other_code_than_the_site_took(app):
    said = app_hash(app)
    with (app / "task.py").open("a") as task:
        task.write("# changed\n")
    worker = start(app, "--app-hash", said)
    assert "not that of the app that this site took" in worker.communicate(timeout=60)[1]
    assert worker.returncode == 1


def test_it_does_not_start_with_another_file_from_beside_the_notebook(app):
    (app / "assets").mkdir()
    (app / "assets" / "vocab.txt").write_text("mass")
    worker = start(app, "--app-hash", "0" * 64)
    said = worker.communicate(timeout=60)[1]
    assert "assets/vocab.txt is there, and pyproject.toml does not list it" in said
    assert "Traceback" not in said
    assert worker.returncode != 0


def test_a_stock_node_says_if_flower_left_a_file_out(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[tool.federator.assets]\n"vocab.txt" = "00"\n')
    with pytest.raises(Failure, match="that the notebook reads beside itself is missing"):
        require_assets(tmp_path)
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "vocab.txt").touch()
    require_assets(tmp_path)


def test_what_it_does_not_understand_does_not_end_it(app):
    packet = {"run": 1, "overrides": {}, "instruction": "{}"}
    answer, weights = Worker(app, app.parent, "north").answer(packet, None)
    assert answer["failure"]["type"] == "InstructionError"
    assert weights is None


def test_only_an_update_that_fits_is_handed_over():
    model = {"w": np.arange(6, dtype=np.float32)}
    made = iter([{"w": np.zeros(7, np.float32)}, None, {"w": np.ones(6, np.float32)}])

    class Trained(Worker):
        def __init__(self):
            pass

        def answer(self, packet, weights):
            return {"packet": packet["n"], "first": float(weights["w"][1])}, next(made)

    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link, memory = Channel(left), Memory.of(model)

    def work():
        with suppress(HandoverError):
            serve(Trained(), Channel(right, most=2))

    thread = threading.Thread(target=work)
    thread.start()
    for n, handed_over in enumerate([False, False, True]):
        link.send({"n": n}, memory)
        told, _ = link.receive()
        assert told == {"version": 2, "packet": n, "first": 1.0, "update": handed_over}
    assert memory.weights["w"].tolist() == [1.0] * 6
    link.close()
    thread.join(10)
    assert not thread.is_alive()


def test_it_ends_at_once_when_it_is_told_to(app):
    worker = start(app, "--app-hash", app_hash(app))
    deadline = time.monotonic() + 60
    status = Path(f"/proc/{worker.pid}/status")
    while time.monotonic() < deadline:
        caught = status.read_text().partition("SigCgt:")[2].split()[0]
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            break
        time.sleep(0.05)
    worker.terminate()
    worker.communicate(timeout=60)
    assert worker.returncode == 0


@pytest.mark.parametrize(
    ("files", "threads"),
    [
        ({"cpu.max": "150000 100000"}, "1"),
        ({"cpu.max": "400000 100000"}, "4"),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "60000", "cpu/cpu.cfs_period_us": "100000"}, "1"),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_no_more_threads_than_a_container_has_processors(tmp_path, monkeypatch, files, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", "before")
    monkeypatch.delenv("OMP_NUM_THREADS")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    spare_processors(tmp_path)
    assert os.environ.get("OMP_NUM_THREADS") == threads
