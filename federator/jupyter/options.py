"""The words after ``%federator``: a command, what it is about, and its options."""

import argparse
import shlex
from typing import NoReturn

from federator.errors import InputError, Problem


class _Parser(argparse.ArgumentParser):
    """Raises an error of this library's, and never ends the kernel."""

    def error(self, message: str) -> NoReturn:
        raise InputError(Problem(message, hint="the commands: %federator help"))


def _rounds(text: str) -> int:
    if not (text.isdecimal() and 1 <= int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 10,000, not {text}")
    return int(text)


def _parser() -> _Parser:
    parser = _Parser("%federator", add_help=False, exit_on_error=False, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def command(name: str, does: str, target: str = "compose/NAME") -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=does, add_help=False, allow_abbrev=False)
        one.add_argument("target", nargs="?", metavar=target)
        return one

    command("check", "what leaves this notebook, what stays behind, and why", "NAME-OR-NOTEBOOK")
    run = command("run", "run the federation on this machine, and show how it goes")
    run.add_argument("--rounds", type=_rounds, metavar="N", help="rounds to run now")
    run.add_argument("--resume", action="store_true", help="continue from the last model")
    run.add_argument("--baselines", action=argparse.BooleanOptionalAction, help="each site alone")
    command("diff", "what would change at the sites")
    push = command("push", "commit this notebook and its federation file, and push")
    push.add_argument("--message", "-m", metavar="TEXT", help="what the commit says")
    push.add_argument("--yes", action="store_true", help="do not ask")
    commands.add_parser("help", help="these lines", add_help=False)
    return parser


def parse(line: str) -> argparse.Namespace:
    """Read the words after ``%federator``.

    Raises:
        InputError: if they are none of its commands.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(Problem(f"the line cannot be read: {error}", hint="close it")) from None
    try:
        return _parser().parse_args(words or ["help"])
    except argparse.ArgumentError as error:
        raise InputError(Problem(str(error), hint="the commands: %federator help")) from None


def text() -> str:
    """Return what ``%federator help`` prints."""
    return _parser().format_help()
