"""How the command line shows its help: commands by who types them, each with all of its text.

Typer writes for Rich, or for a Click older than the one that is installed; here neither is so.
"""

from typing import Any

import click
import typer.main
from typer.core import TyperArgument, TyperCommand, TyperGroup

AUTHOR = "For the author"
COORDINATOR = "For the coordinator"
INSIDE = "Called in the server's container"


def _plain(text: str) -> str:
    """Return a help text without the backslashes that are meant for Rich."""
    return text.replace("\\[", "[")


class _Argument(TyperArgument):
    """Keeps its help, which Click's newer Argument, made after it, would forget."""

    def __init__(self, *, help: str | None = None, **rest: Any) -> None:  # noqa: ANN401  # Typer's
        super().__init__(help=help, **rest)
        self.help = help

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return how it is written and what it means."""
        name, text = super().get_help_record(ctx) or ("", "")
        return name, _plain(text)


typer.main.TyperArgument = _Argument  # type: ignore[misc,attr-defined,unused-ignore]


class Command(TyperCommand):
    """A command whose help has no backslashes, and names each argument once."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what options there are; Click has written the arguments before."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = [record for option in options if (record := option.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl([(name, _plain(text)) for name, text in records])


class Group(TyperGroup):
    """A group that shows its commands by who types them."""

    def __init__(self, **rest: Any) -> None:  # noqa: ANN401  # Typer's
        # Click itself asks "did you mean …", and twice is too often.
        super().__init__(**{**rest, "suggest_commands": False})

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands that are not hidden, with their whole first sentence."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                title = panel if isinstance(panel, str) else "Commands"
                panels.setdefault(title, []).append((name, command.get_short_help_str(500)))
        for title, commands in panels.items():
            with formatter.section(title):
                formatter.write_dl(commands)
