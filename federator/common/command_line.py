"""What every command of the command line shares: its help, its errors, its warnings.

The help lists the commands by the person who types them, each with its complete first sentence.
Typer formats its help for Rich, or for an older Click than the one installed; neither fits here.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer
import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup

from federator.common import github_job
from federator.errors import FederatorError, InputError, Problem

if TYPE_CHECKING:
    from federator.runtime.control.server_paths import ServerPaths

AUTHOR = "For the author"
COORDINATOR = "For the coordinator"
ON_SERVER = "On the server's machine, and in its container"
IN_SERVER = "In the server's container"

FederationPath = Annotated[
    Path, typer.Argument(help="folder of the federation, or its federation.yaml")
]


def is_in_server() -> bool:
    """Return whether this process runs in the server's container.

    Only the services ``server`` and ``watch`` of ``server.yaml`` get the server's settings by this
    variable.
    """
    return "FEDERATOR_FEDERATION" in os.environ


def in_server() -> "ServerPaths":
    """Return the paths in the server's container.

    Raises:
        InputError: if this is another machine.
    """
    from federator.runtime.control.server_paths import server_paths

    server = server_paths()
    if not is_in_server() and not server.federation.exists():
        hint = (
            "there: docker compose -f server.yaml exec server federator …; rounds also on the "
            "server's machine: federator rounds compose/NAME"
        )
        raise InputError(Problem("this command runs in the server's container only", hint=hint))
    return server


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print an expected error unchanged, and exit with its exit code.

    Raises:
        typer.Exit: for an expected error; 130 if a person stopped the command.
    """
    try:
        yield
    except FederatorError as error:
        if github_job.is_running():
            github_job.fail(error)
        else:
            typer.secho(str(error), fg="red" if sys.stderr.isatty() else None, err=True)
        raise typer.Exit(error.exit_code) from None
    except typer.Abort:
        typer.echo("stopped at a question; nothing was written (--yes skips questions)", err=True)
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        typer.echo("stopped; what is finished is kept (continue: federator run --resume)", err=True)
        raise typer.Exit(130) from None


def warn(problems: Iterable[Problem]) -> None:
    """Print warnings, or mark them in the log of a GitHub job."""
    for problem in problems:
        if github_job.is_running():
            github_job.annotate("warning", problem)
        else:
            color = "yellow" if sys.stderr.isatty() else None
            typer.secho(f"warning: {problem}", fg=color, err=True)


def relative(path: Path) -> Path:
    """Return a path relative to the current folder, if it is inside that."""
    here = Path.cwd()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path


def _plain(text: str) -> str:
    """Return a help text without the backslashes that are meant for Rich."""
    return text.replace("\\[", "[")


class _Argument(TyperArgument):
    """Keeps its help text: the constructor of a newer Click, called after Typer's, drops it."""

    def __init__(self, *, help: str | None = None, **rest: Any) -> None:  # noqa: ANN401  # Typer's
        super().__init__(help=help, **rest)
        self.help = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the argument's name and its help text."""
        name, text = super().get_help_record(ctx) or ("", "")
        return name, _plain(text)


typer.main.TyperArgument = _Argument  # type: ignore[misc,attr-defined,unused-ignore]


class Command(TyperCommand):
    """A command whose help has no backslashes, and names each argument once."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options only: Click has written the arguments already."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = [record for option in options if (record := option.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl([(name, _plain(text)) for name, text in records])


class Group(TyperGroup):
    """A group that lists its commands by the person who types them."""

    def __init__(self, **rest: Any) -> None:  # noqa: ANN401  # Typer's
        # Click suggests the nearest command itself; Typer would suggest it a second time.
        super().__init__(**{**rest, "suggest_commands": False})

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; its output shows as an escape what a terminal or UTF-8 cannot.

        A file's name may hold any bytes, and a notebook's text half a surrogate pair.
        """
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands that make sense here, each with its complete first sentence."""
        elsewhere = {AUTHOR, COORDINATOR} if is_in_server() else {IN_SERVER}
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                title = panel if isinstance(panel, str) else "Commands"
                # 500: longer than any first sentence, so Click never cuts one (default: 45)
                panels.setdefault(title, []).append((name, command.get_short_help_str(500)))
        for title, commands in panels.items():
            if title not in elsewhere:
                with formatter.section(title):
                    formatter.write_dl(commands)
