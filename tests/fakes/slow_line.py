"""A slow, lossy line to a network namespace: what ``tc netem`` does, where the kernel has no netem.

Two TUN devices, one on this machine and one in the namespace, and a thread that carries packets
between them: late, at a limited rate, and not all. TCP on both sides is the kernel's own.
"""

import fcntl
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import pytest

_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x1001
_LONGEST = 1000  # packets that wait at most, as with netem
HERE, THERE = "10.213.74.1", "10.213.74.2"


class Line:
    """Carries packets both ways.

    Attributes:
        prefix: what a command must begin with to run at the far end.
        lost: how many packets were dropped.
        stands: while it is set, nothing gets through.
    """

    def __init__(self, mbit: float, delay: float, loss: float) -> None:
        self.name = f"slow-{os.getpid()}"
        self.prefix = ("ip", "netns", "exec", self.name)
        self.lost = 0
        self._rate, self._delay, self._loss = mbit * 1e6 / 8, delay, loss
        self._random, self._over = random.Random(0), threading.Event()
        self.stands = threading.Event()
        self._fds = [_tun(f"near{os.getpid()}"), _tun(f"far{os.getpid()}")]
        near, far = f"near{os.getpid()}", f"far{os.getpid()}"
        for command in (
            f"netns add {self.name}",
            f"link set {far} netns {self.name}",
            f"address add {HERE} peer {THERE} dev {near}",
            f"link set {near} up",
            f"-n {self.name} address add {THERE} peer {HERE} dev {far}",
            f"-n {self.name} link set {far} up",
            f"-n {self.name} link set lo up",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take it down; the kernel removes the devices with it."""
        self._over.set()
        self._thread.join()
        for fd in self._fds:
            os.close(fd)
        subprocess.run(["ip", "netns", "delete", self.name], check=True)

    def _carry(self) -> None:
        waiting: dict[int, deque[tuple[float, bytes]]] = {fd: deque() for fd in self._fds}
        free = dict.fromkeys(self._fds, 0.0)  # when each way can take another packet
        while not self._over.is_set():
            due = min((way[0][0] for way in waiting.values() if way), default=time.monotonic() + 1)
            ready = select.select(self._fds, [], [], max(0.0, due - time.monotonic()))[0]
            now = time.monotonic()
            for source in ready:
                packet = os.read(source, 65536)
                if self._random.random() < self._loss or len(waiting[source]) > _LONGEST:
                    self.lost += 1
                    continue
                free[source] = max(free[source], now) + len(packet) / self._rate
                waiting[source].append((free[source] + self._delay, packet))
            if self.stands.is_set():
                time.sleep(0.01)
                continue
            for source, target in zip(self._fds, reversed(self._fds), strict=True):
                while waiting[source] and waiting[source][0][0] <= now:
                    os.write(target, waiting[source].popleft()[1])


def _tun(name: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN_NO_PI))
    return fd


@contextmanager
def line(mbit: float, delay: float, loss: float):
    """Yield a line of so many Mbit/s, seconds of delay each way, and share of lost packets."""
    there = {
        "root": os.geteuid() == 0,
        "/dev/net/tun": Path("/dev/net/tun").exists(),
        "ip (Debian and Ubuntu: iproute2)": shutil.which("ip") is not None,
    }
    if missing := [what for what, found in there.items() if not found]:
        pytest.skip(f"a slow line lacks {', '.join(missing)}")
    made = Line(mbit, delay, loss)
    try:
        yield made
    finally:
        made.close()
