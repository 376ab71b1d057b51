"""The command ``verify``: whether what a run left behind is as it was written."""

from pathlib import Path
from typing import Annotated

import typer

from federator.common.command_line import AUTHOR, Command, Group, reporting_errors

author = typer.Typer(cls=Group)


@author.command("verify", cls=Command, rich_help_panel=AUTHOR)
def verify_run(
    folders: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="folders of runs, under results/")
    ],
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="of the federation, with its folders public and sites"),
    ] = None,
    record: Annotated[
        list[str] | None,
        typer.Option(metavar="SITE=FILE", help="a site's record, to compare; several times"),
    ] = None,
) -> None:
    """Check that nothing of a run was changed: journal, receipts, manifest, weights."""
    from federator.results.verification import verify
    from federator.results.verification.public_keys import PublicKeys

    with reporting_errors():
        trusted = PublicKeys.read(keys) if keys else None
        given = verify.handed_over(record or [])
        checked = []
        for folder in folders:
            checked.append(found := verify.verify(folder, trusted, given))
            for finding in found.findings:
                typer.echo(finding)
            for note in found.notes:
                typer.echo(f"note: {note}")
            typer.echo(found.conclusion)
        if any(one.findings for one in checked):
            raise typer.Exit(1)
