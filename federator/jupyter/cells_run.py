"""The cells that this kernel has run: their text, their number, and when."""

import time
from dataclasses import dataclass
from typing import Any

from federator.notebook.magics import to_plain


@dataclass(frozen=True)
class Ran:
    """A cell as it was last run.

    Attributes:
        count: the number that Jupyter shows beside it, ``[n]``.
        source: its text.
        at: when it was run, in seconds since 1970.
    """

    count: int
    source: str
    at: float

    @property
    def only_magics(self) -> bool:
        """Whether there is nothing of Python in it."""
        return not to_plain(self.source).source.strip()


class CellsRun:
    """Notes each cell that was run; a front end that has cell ids sends the id along.

    Attributes:
        known: the cells by id, or by their number where the front end sends no id.
    """

    def __init__(self) -> None:
        self.known: dict[str, Ran] = {}

    def note(self, result: Any) -> None:  # noqa: ANN401  # IPython's ExecutionResult
        """Note a cell that was run: IPython's event ``post_run_cell``, which has its number."""
        info, count = result.info, result.execution_count
        if info.store_history and not info.silent and count is not None:
            self.known[info.cell_id or f"[{count}]"] = Ran(count, info.raw_cell, time.time())
