"""The most memory that a side's processes take: the sum of PSS, shared memory included."""

import threading
import time
from collections.abc import Sequence
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


class Peak:
    """Watches sides, each the families of some processes, while it is entered.

    Attributes:
        bytes: the most that each side took.
    """

    def __init__(self, sides: dict[str, Sequence[int]]) -> None:
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
            began = time.monotonic()
            for side, parents in self._sides.items():
                now = sum(pss(pid) for parent in parents for pid in family(parent))
                self.bytes[side] = max(self.bytes[side], now)
            pause = max(_PAUSE, (time.monotonic() - began) / _SHARE)
