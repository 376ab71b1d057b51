"""What the signer has been ordered and has signed: on disk before a signature is given away.

``orders.jsonl`` has a line for each order and each end of one, ``signed.txt`` a line for each
question that was signed of the open order (rules.py).
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from federator.errors import InputError
from federator.runtime import files
from federator.runtime.protocol.instructions import FEDERATION
from federator.runtime.protocol.signing.orders import OrderError, RoundsOrder
from federator.runtime.signer.rules import TEST, TRAIN, NotOrderedError, Question

_TIMES = 10  # that a question may be signed, for each model of which it may be asked
_ON_TEST = f"on-{TEST}"


@dataclass(frozen=True)
class _Asked:
    """Of one question: with which contents it was signed, and how often."""

    contents: frozenset[str] = frozenset()
    times: int = 0

    def again(self, content: str) -> "_Asked":
        return _Asked(self.contents | {content}, self.times + 1)


class Ledger:
    """Remembers orders, and what was signed of the one that is open.

    Args:
        folder: where; it outlives a restart.

    Raises:
        InputError: if it cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._orders, self._signed = folder / "orders.jsonl", folder / "signed.txt"
        self.orders: list[RoundsOrder] = []
        self._closed: dict[int, str] = {}
        self._asked: dict[str, _Asked] = {}
        self._subjects: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._read_orders()
            self._read_signed()
        except (OSError, ValueError, LookupError) as error:
            raise InputError(f"{folder}: the signer's ledger cannot be read: {error}") from None

    @property
    def open(self) -> RoundsOrder | None:
        """The order that was given last, if it is not closed."""
        last = self.orders[-1] if self.orders else None
        return None if last is None or last.number in self._closed else last

    def give(self, order: RoundsOrder) -> RoundsOrder:
        """Note an order; return it with its number. What was signed of earlier ones is forgotten.

        Raises:
            OSError: if it cannot be written.
        """
        taken = replace(order, number=len(self.orders) + 1)
        _append(self._orders, [json.dumps({"order": taken.write()})])
        self._signed.unlink(missing_ok=True)
        self.orders.append(taken)
        self._asked.clear()
        self._subjects.clear()
        return taken

    def close(self, number: int, state: str) -> None:
        """Note how an order ended, if it is the open one.

        Raises:
            OSError: if it cannot be written.
        """
        if self.open is not None and self.open.number == number:
            _append(self._orders, [json.dumps({"closed": number, "state": state})])
            self._closed[number] = state

    def take(self, order: RoundsOrder, questions: Iterable[Question]) -> None:
        """Note questions that are now going to be signed: all, or none.

        Raises:
            NotOrderedError: if the order does not allow one of them any more.
            OSError: if they cannot be written.
        """
        asked, subjects, lines = dict[str, _Asked](), set(self._subjects), list[str]()
        for one in questions:
            before = asked.get(one.key) or self._asked.get(one.key) or _Asked()
            _require_in_time(order, one, subjects)
            asked[one.key] = _counted(before, one)
            subjects |= {one.what, one.subject}
            lines.append(f"{order.number} {one.key} {one.content}")
        if lines:
            _append(self._signed, lines)
        self._asked |= asked
        self._subjects = subjects

    def _read_orders(self) -> None:
        for line in files.whole_lines(self._orders):
            told = json.loads(line)
            if "order" in told:
                self.orders.append(_order(str(told["order"])))
            else:
                self._closed[int(told["closed"])] = str(told["state"])

    def _read_signed(self) -> None:
        if self.open is None:
            return
        for line in files.whole_lines(self._signed):
            number, what, which, model, node, content = line.decode().split(" ")
            if int(number) == self.open.number:
                one = Question(what, int(which), model, int(node), content)
                before = self._asked.get(one.key) or _Asked()
                self._asked[one.key] = before.again(content)
                self._subjects |= {one.what, one.subject}


def _require_in_time(order: RoundsOrder, one: Question, signed: Collection[str]) -> None:
    """Check that test sets come after all training of the common model, and end it.

    Args:
        order: the open one.
        one: what is asked now.
        signed: what all that was signed before asks, and of which models.

    Raises:
        NotOrderedError: if this question comes too early, or too late.
    """
    last = f"{TRAIN} {order.last_round} {FEDERATION}"
    trains = order.first_round <= order.last_round
    if one.what == _ON_TEST and trains and last not in signed:
        raise NotOrderedError("test sets are evaluated after the last round")
    if (one.what, one.model) == (TRAIN, FEDERATION) and _ON_TEST in signed:
        raise NotOrderedError("no round is trained once a test set was evaluated")


def _counted(before: _Asked, one: Question) -> _Asked:
    """Return what was asked, with one more question.

    Raises:
        NotOrderedError: if the order allows it no more.
    """
    if one.content not in before.contents and len(before.contents) >= one.contents:
        raise NotOrderedError(f"{one.subject}: node {one.node} was asked this of another model")
    if before.times >= _TIMES * one.contents:
        raise NotOrderedError(f"{one.subject}: node {one.node} was asked this often enough")
    return before.again(one.content)


def _order(text: str) -> RoundsOrder:
    try:
        return RoundsOrder.read(text)
    except OrderError as error:
        raise ValueError(str(error)) from None


def _append(path: Path, lines: Iterable[str]) -> None:
    files.append(path, "".join(f"{line}\n" for line in lines).encode())
