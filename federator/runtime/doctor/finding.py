"""One line of the doctor: what was found, and what to do about it."""

from typing import NamedTuple


class Finding(NamedTuple):
    """One thing looked at.

    Attributes:
        passed: whether it is as it must be.
        what: what was found.
        remedy: what to do, if it is not.
    """

    passed: bool
    what: str
    remedy: str = ""

    def __str__(self) -> str:
        text = f"{'pass' if self.passed else 'FAIL'}  {self.what}"
        return text if self.passed else f"{text}\n      {self.remedy}"
