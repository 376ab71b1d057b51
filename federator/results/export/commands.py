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
        if told := read.withheld(model=to is Target.ROCRATE):
            typer.echo(told)


@author.command("compare", cls=Command, rich_help_panel=AUTHOR)
def compare_runs(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="folders of runs, or one folder of several"),
    ],
) -> None:
    """Show runs of one federation side by side: settings that differ, cost, final figures."""
    from rich.console import Console

    from federator.results.export import side_by_side

    with reporting_errors():
        Console().print(side_by_side.table(side_by_side.beside(runs)))


@author.command("card", cls=Command, rich_help_panel=AUTHOR)
def write_card(
    run: RunFolder,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="default: card.md in the run's folder")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="replace a card, and what was filled in")
    ] = False,
    federation: FederationFile = None,
    everything: Everything = False,
) -> None:
    """Write the model card of a run: data, figures, privacy, provenance, and what you fill in."""
    from federator.results.export import card, source

    with reporting_errors():
        read = source.read(run, federation, everything)
        made, path = card.card(read), output or run / "card.md"
        card.save(made, path, overwrite)
        typer.echo(f"{path}: {made.open} places are yours to fill in")
        if told := read.withheld(model=False):
            typer.echo(told)
