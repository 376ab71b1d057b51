"""One thing that is wrong with what a run left behind, and where."""

from typing import NamedTuple


class Finding(NamedTuple):
    """What is wrong.

    Attributes:
        file: its name; of a site's record, with the site's.
        line: which line of it, from 1; 0 for the whole file.
        what: what is wrong with that.
    """

    file: str
    line: int
    what: str

    def __str__(self) -> str:
        where = f"{self.file}, line {self.line}" if self.line else self.file
        return f"{where}: {self.what}"
