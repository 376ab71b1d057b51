"""The commands that pass a run on: to other programs, and to people who were not there."""

from pathlib import Path
from typing import Annotated

import typer

from federator.common.command_line import AUTHOR, Command, Group, reporting_errors
from federator.results.export.target import Target

author = typer.Typer(cls=Group)

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="folder of a run, under results/")]
FederationFile = Annotated[
    Path | None,
    typer.Option(
        "--federation",
        metavar="FOLDER",
        help="of the federation file, if it is not in the repository of the run",
    ),
]
Everything = Annotated[
    bool,
    typer.Option("--all", help="figures of single sites, and the model, whatever publish: says"),
]


@author.command("export", cls=Command, rich_help_panel=AUTHOR)
def export_run(
    run: RunFolder,
    to: Annotated[Target, typer.Option(help="for which program")],
    output: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="default: export/ in the run's folder")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace an earlier export")
    ] = False,
    federation: FederationFile = None,
    everything: Everything = False,
) -> None:
    """Write a run for another program: as a table, for TensorBoard, or as an RO-Crate."""
    from federator.results.export import source
    from federator.results.export.export import export

    with reporting_errors():
        read = source.read(run, federation, everything)
        typer.echo(export(read, to, output, overwrite))
        if read.withheld:
            typer.echo(read.withheld)
