"""The author's commands on a repository: create it, and update what was generated in it."""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer

import federator
from federator.common.command_line import AUTHOR, Command, Group, reporting_errors
from federator.runtime.protocol.evaluation.tasks import NAMES

author = typer.Typer(cls=Group)


@author.command(cls=Command, rich_help_panel=AUTHOR)
def init(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="the folder to create")] = Path(),
    federation: Annotated[str | None, typer.Option(help="name of its first federation")] = None,
    task: Annotated[str | None, typer.Option(help="what it predicts: " + ", ".join(NAMES))] = None,
    site: Annotated[list[str] | None, typer.Option(help="name of a site; once for each")] = None,
    labels: Annotated[str | None, typer.Option(help="classes, such as benign,malignant")] = None,
    images: Annotated[str | None, typer.Option(help="registry, such as docker.io/acme")] = None,
    server: Annotated[str | None, typer.Option(help="host name of the server")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="skip all questions")] = False,
) -> None:
    """Create a repository of your own; in a terminal it asks for each option not given."""
    from federator.repository import answers
    from federator.repository import init as repository

    with reporting_errors():
        given = {"federation": federation, "task": task, "sites": site, "labels": labels}
        given |= {"images": images, "server": server}
        if repository.exists(folder, given):
            _update(folder, yes=yes)
            return
        answered = answers.gather(folder, given, ask=sys.stdin.isatty() and not yes)
        repository.init(folder, answered)
        typer.echo(repository.next_steps(folder, answered))


@author.command("update", cls=Command, rich_help_panel=AUTHOR)
def update_repository(
    folder: Annotated[Path, typer.Argument(help="the repository")] = Path(),
    take: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="replace also this file of yours"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what would change")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="skip all questions")] = False,
) -> None:
    """Update what init created to the installed version; files that you changed stay."""
    with reporting_errors():
        _update(folder, take or (), dry_run, yes)


def _update(
    folder: Path, take: Collection[str] = (), dry_run: bool = False, yes: bool = False
) -> None:
    from federator.repository import update

    comparison = update.compare(folder, take)
    for change in comparison.changes:
        typer.echo(f"{change}\n")
    if not comparison.changes:
        typer.echo(f"all files are those of version {federator.__version__}")
    elif not dry_run and (yes or typer.confirm("Write this?")):
        comparison.apply()
