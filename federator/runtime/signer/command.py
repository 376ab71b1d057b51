"""The command that gives the signer an order: which rounds the server may have the sites run.

It runs where the coordinator is, beside the signer, and never in the server's container.
"""

import argparse
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from federator.errors import InputError
from federator.runtime.options import Parser, file
from federator.runtime.protocol.signing.connection import SignerClient
from federator.runtime.protocol.signing.orders import (
    OrderError,
    RoundsOrder,
    Terms,
    worst_case,
)
from federator.runtime.signer.process import ORDERS_SOCKET

_RUN = re.compile(r"\d{4}-\d\d-\d\d-\d{3}")
_CHECKPOINT = re.compile(r"round-(\d{3,})\.safetensors")
_MOST = 10_000  # rounds, and epochs
# How long a server may be down until it goes on with an order: over a holiday.
_DOWN = 7 * 24 * 3600.0


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        rounds: how many; None for those of the app: to finish them, or as many again.
        epochs: local epochs in a round; None for those of the app.
        baselines: whether each site is also trained alone; None for what the federation file
            says, or what the run that is continued had.
        fresh: whether to start a new run from the first model.
        survey: whether the sites only tell of their data.
        by: who asks.
    """

    rounds: int | None = None
    epochs: int | None = None
    baselines: bool | None = None
    fresh: bool = False
    survey: bool = False
    by: str = ""


def plan(
    wanted: Wanted, terms: Terms, done: Mapping[str, int], earlier: Sequence[RoundsOrder]
) -> RoundsOrder:
    """Return the order: more rounds of the last run, or a new one.

    Args:
        wanted: what is asked for.
        terms: what the federation's files say.
        done: the runs that have a checkpoint, and the round of the last one of each.
        earlier: the orders that were given before.
    """
    run, before = "", 0
    if done and not (wanted.fresh or wanted.survey):
        run, before = max(done.items())
    rounds = wanted.rounds
    if rounds is None:
        rounds = terms.rounds - before if before < terms.rounds else terms.rounds
    had = [order.terms.baselines for order in earlier if order.run == run and not order.survey_only]
    baselines = terms.baselines or had[-1:] == [True]
    terms = replace(
        terms,
        epochs=wanted.epochs or terms.epochs,
        baselines=baselines if wanted.baselines is None else wanted.baselines,
        survey="only" if wanted.survey else terms.survey,
    )
    run = run or _new_run({*done, *(order.run for order in earlier)})
    first, last = before + 1, before + (0 if wanted.survey else rounds)
    expires = time.time() + worst_case(terms, first, last) + _DOWN
    return RoundsOrder(run, first, last, terms, expires, wanted.by)


def runs_in(results: Path) -> dict[str, int]:
    """Return the runs that have a checkpoint, and the round of the last one of each.

    Only names of files are looked at: the server writes here.

    Raises:
        InputError: if the folder cannot be read.
    """
    found: dict[str, int] = {}
    try:
        for path in results.glob("*/*.safetensors"):
            number = _CHECKPOINT.fullmatch(path.name)
            if number and _RUN.fullmatch(path.parent.name):
                run = path.parent.name
                found[run] = max(found.get(run, 0), int(number[1]))
    except OSError as error:
        raise InputError(f"{results}: cannot be read: {error.strerror}") from None
    return found


def _new_run(taken: set[str]) -> str:
    """Return the name of a new run of today.

    Raises:
        InputError: if there are no more.
    """
    today = date.today().isoformat()
    names = (f"{today}-{number:03d}" for number in range(1, 1000))
    if (free := next((name for name in names if name not in taken), None)) is None:
        raise InputError("there are a thousand runs of today")
    return free


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {_MOST}")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Order rounds: the server then runs them, and no others, by `federator rounds`."""
    parser = Parser(prog="order", description=main.__doc__)
    add = parser.add_argument
    add("--rounds", type=_number, help="how many; by default those of the app")
    add("--epochs", type=_number, help="local epochs in each round")
    add("--fresh", action="store_true", help="start from the first model")
    add("--baselines", action=argparse.BooleanOptionalAction, help="also train each site alone")
    add("--survey", action="store_true", help="compare the sites' data only, and run no round")
    add("--stop", action="store_true", help="sign nothing more of the order that is open")
    add("--by", default="", help="who gives the order")
    add("--terms", type=file, required=True, help="what the federation file says, or its file")
    add("--results", type=Path, default=Path("/results"), help="folder of all results")
    add("--orders", type=Path, default=Path(ORDERS_SOCKET), help="where the signer takes orders")
    options = parser.parse_args(arguments)
    signer = SignerClient(options.orders)
    if options.stop:
        open_order = signer.order()
        if open_order is not None:
            signer.close_order(open_order.number, "stopped")
        print(f"stopped {open_order}" if open_order else "no order is open")
        return 0
    names = ("rounds", "epochs", "baselines", "fresh", "survey", "by")
    wanted = Wanted(**{name: getattr(options, name) for name in names})
    try:
        terms = Terms.read(options.terms.read_text())
    except (OSError, OrderError) as error:
        raise InputError(f"{options.terms}: {error}") from None
    done = runs_in(options.results / terms.federation)
    print(signer.give(plan(wanted, terms, done, signer.orders())))
    return 0
