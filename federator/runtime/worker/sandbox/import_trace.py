"""Which module imported which other one, noted in a local run (unlisted_imports.py)."""

import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from federator.runtime.files import write

_MACHINERY = ("importlib", "_frozen_importlib", "_frozen_importlib_external")


class Asked(NamedTuple):
    """Who asked for a module first.

    Attributes:
        by: the asking module's dotted name; empty if unknown.
        loading: whether a module was being loaded meanwhile that is not the author's: a library
            that takes whatever is installed asks so.
    """

    by: str
    loading: bool


class ImportTrace(MetaPathFinder):
    """Notes each import that is tried; finds no module itself.

    Args:
        path: the file to write.
        author: top-level names of the author's own modules.
    """

    def __init__(self, path: Path, author: frozenset[str]) -> None:
        self._path, self._author, self._asked = path, author, dict[str, Asked]()
        self._written = ""
        self._before = frozenset(sys.modules)

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> None:
        """Note who asks."""
        if fullname not in self._asked:
            self._asked[fullname] = self._asker(sys._getframe(1))

    def _asker(self, frame: FrameType | None) -> Asked:
        while frame is not None and _name(frame).partition(".")[0] in _MACHINERY:
            frame = frame.f_back
        by, loading = "" if frame is None else _name(frame), False
        while frame is not None:
            if (top := _name(frame).partition(".")[0]) in self._author or top == "federator":
                break
            loading |= frame.f_code.co_name == "<module>"
            frame = frame.f_back
        return Asked(by, loading)

    def write(self) -> None:
        """Write which modules were read from files since the start, and who asked for each."""
        found = {
            name: self._asked.get(name, Asked("", False))
            for name, module in list(sys.modules.items())
            if name not in self._before and getattr(module, "__dict__", {}).get("__file__")
        }
        if (text := json.dumps(found)) != self._written:  # most answers import nothing new
            write(self._path, text)
            self._written = text


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
