"""The most memory that a side's processes take: the sum of PSS, shared memory included."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_PAUSE = 0.2
_SHARE = 0.02  # of a processor, at most: counting a large process's pages takes its time


def family(pid: int) -> list[int]:
    """Return a process and all that it started."""
    found = [pid]
    for parent in found:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:
            continue
        found += [int(child) for child in children.split()]
    return found


def pss(pid: int) -> int:
    """Return a process's proportional set size in bytes, 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


Side = Callable[[], Iterable[int]]
"""Tells the processes of a side, as they are now."""


def families(*pids: int) -> Side:
    """Return the side of some processes and all that they start."""
    return lambda: [member for pid in pids for member in family(pid)]


def named(text: str) -> Side:
    """Return the side of all processes with a text in their command line."""

    def found() -> Iterable[int]:
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if text.encode() in (process / "cmdline").read_bytes():
                    yield int(process.name)

    return found


class Peak:
    """Watches sides while it is entered; of one of several GB only every half minute or so.

    Attributes:
        bytes: the most that each side was seen to take.
    """

    def __init__(self, sides: dict[str, Side]) -> None:
        self._sides, self._over = sides, threading.Event()
        self.bytes = dict.fromkeys(sides, 0)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        pause = _PAUSE
        while not self._over.wait(pause):
            began = time.thread_time()
            for side, processes in self._sides.items():
                self.bytes[side] = max(self.bytes[side], sum(map(pss, processes())))
            pause = max(_PAUSE, (time.thread_time() - began) / _SHARE)
