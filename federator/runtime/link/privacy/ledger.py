"""A site's privacy ledger: a chained file of what was spent on its data, whatever the run or app.

It stands on the volume of the site's record, and its last line is noted beside the site's key: so a
ledger that was changed, cut short or removed is found, and none is ever taken for an empty one. A
training counts from before it begins: one that fails, or during which the link ends, is spent.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from federator.errors import InputError, Problem, Where
from federator.runtime import files
from federator.runtime.chain import lines
from federator.runtime.chain.lines import Lines
from federator.runtime.link.records.entries import now
from federator.runtime.protocol.privacy.accountant import Step, epsilon
from federator.runtime.protocol.privacy.spending import Spending
from federator.runtime.untrusted import MALFORMED

FILE = "privacy.jsonl"
BEGIN, PLAN, TRAINING, TRAINED, EVALUATION, PLAIN = (
    "begin", "plan", "training", "trained", "evaluation", "plain",
)  # fmt: skip
_HINT = (
    "put back a copy of the volume `records` and of the site's key folder from the same day; the "
    "budget that it holds does not begin anew"
)


@dataclass
class Spent:
    """What was spent, as the lines of a ledger say.

    Attributes:
        steps: of trainings, by sample rate and noise.
        trainings: how many there were.
        evaluations: epsilon of all evaluations.
        released: how many evaluations there were.
        plans: what an epoch costs, by version of the app (its hash).
        plain: whether data were also trained on without differential privacy.
    """

    steps: Counter[Step] = field(default_factory=Counter)
    trainings: int = 0
    evaluations: float = 0.0
    released: int = 0
    plans: dict[str, Spending] = field(default_factory=dict)
    plain: bool = False
    _reserved: dict[int, Spending] = field(default_factory=dict)  # by the number of the line

    def training(self, delta: float, more: Spending | None = None) -> float:
        """Return the epsilon of all trainings, and of one more, for a delta."""
        steps = Counter(self.steps)
        if more is not None:
            steps[_step(more)] += more.steps
        return epsilon(steps, delta)

    def take(self, number: int, said: Mapping[str, Any]) -> None:
        """Take in a line; what it raises is one of ``MALFORMED``."""
        event = said["event"]
        if event == PLAN:
            self.plans[str(said["app"])] = Spending.of(said["spending"])
        elif event == TRAINING:
            spending = Spending.of(said["spending"])
            self._reserved[number] = spending
            self.steps[_step(spending)] += spending.steps
            self.trainings += 1
        elif event == TRAINED:
            reserved, real = self._reserved.pop(said["line"]), Spending.of(said["spending"])
            self.steps[_step(reserved)] -= reserved.steps
            self.steps[_step(real)] += real.steps
        elif event == EVALUATION:
            if not 0 <= said["epsilon"] < float("inf"):
                raise ValueError("epsilon")
            self.evaluations += said["epsilon"]
            self.released += 1
        elif event == PLAIN:
            self.plain = True
        elif event != BEGIN:
            raise ValueError("event")


class PrivacyLedger:
    """The ledger in a file, which this process alone writes.

    Args:
        file: where.
        noted: a file elsewhere, in which the last line is noted; None for no such note.

    Attributes:
        spent: what it says.

    Raises:
        InputError: if it is not whole, or cannot be read or written.
    """

    def __init__(self, file: Path, noted: Path | None = None) -> None:
        self._file, self._noted = file, noted
        self._count, self.spent = _read(file, noted)
        if not self._count:
            try:
                self.write({"event": BEGIN})
            except OSError as error:
                what = f"what is spent cannot be written: {error.strerror}"
                hint = "the folders of the site's record and of its key must be writable"
                raise InputError(Problem(what, Where(str(file)), hint)) from None

    @staticmethod
    def look(file: Path, noted: Path | None = None) -> Spent | None:
        """Return what a ledger says, without touching it; None if there never was one.

        Raises:
            InputError: if it is not whole, or cannot be read.
        """
        count, spent = _read(file, noted)
        return spent if count else None

    def write(self, fields: Mapping[str, Any]) -> int:
        """Append a line, which is on the disk then; return its number.

        Raises:
            OSError: if it cannot be written; then nothing may be done.
        """
        line = {**fields, "time": now()}
        chain = lines.append(self._file, line, durable=True)
        self._count += 1
        self.spent.take(self._count, line)
        if self._noted is not None:
            files.write(self._noted, lines.note(self._count, chain), 0o600)
        return self._count


def entry(event: str, spending: Spending, **rest: object) -> dict[str, Any]:
    """Return the fields of a line that tells a cost."""
    return {"event": event, **rest, "spending": asdict(spending)}


def _step(spending: Spending) -> Step:
    return spending.sample_rate, spending.noise


def _read(file: Path, noted: Path | None) -> tuple[int, Spent]:
    """Return the number of a ledger's lines, and what they say.

    Raises:
        InputError: if it is not whole, or cannot be read.
    """
    try:
        found = lines.read(file.read_bytes()) if file.exists() else Lines([])
        note = noted.read_text("utf-8", "replace") if noted and noted.exists() else ""
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", Where(str(file)))) from None
    if wrong := _fault(found, None if noted is None else note):
        raise InputError(Problem(f"the privacy ledger {wrong}", Where(str(file)), _HINT))
    spent = Spent()
    for line in found.good:
        try:
            spent.take(line.number, line.fields)
        except MALFORMED:
            what = f"line {line.number} of the privacy ledger is none of a ledger's"
            raise InputError(Problem(what, Where(str(file)), _HINT)) from None
    return len(found.good), spent


def _fault(found: Lines, note: str | None) -> str:
    """Return what is wrong with a ledger; empty if nothing is.

    Args:
        found: its lines; half a line at the end is of a crash, before anything was done.
        note: what is noted elsewhere, empty if nothing is; None where nothing would be.
    """
    if found.broken:
        return f"was changed at line {found.broken}"
    if note is None:
        return ""
    count, chain = lines.noted(note)
    if count > len(found.good):
        return f"was cut short or removed: it has {len(found.good)} lines, {count} are noted"
    if len(found.good) > 1 and not count:  # of one line nothing is spent: its note is written next
        return "is not the one that was noted beside the site's key: that note is gone"
    if count and found.good[count - 1].chain != chain:
        return "is another one than was noted beside the site's key"
    return ""
