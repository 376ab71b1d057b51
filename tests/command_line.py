"""The command line, called in this process or as a process of its own."""

import sys

from typer.testing import CliRunner

from federator.cli import app

FEDERATOR = [sys.executable, "-c", "from federator.cli import main; main()"]


def call(*arguments: object, input: str | None = None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)
