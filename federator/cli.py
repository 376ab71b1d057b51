"""The command line. No logic: each command reads, calls one package, and prints.

This file has the commands on notebooks and runs. Others are in ``repository/commands.py``,
``deploy/commands.py`` (the coordinator's), ``pipeline/commands.py`` (those of GitHub Actions),
``results/export/commands.py``, and ``command.py`` of ``results/verification/`` and
``results/watch/``.
"""

from pathlib import Path
from typing import Annotated

import typer

import federator
from federator.common.command_line import (
    AUTHOR,
    Command,
    FederationPath,
    Group,
    reporting_errors,
    warn,
)
from federator.deploy.commands import coordinator
from federator.deploy.host.commands import server as on_server
from federator.pipeline import commands as pipeline
from federator.repository.commands import author as repository
from federator.results.export import commands as results
from federator.results.verification.command import author as verification
from federator.results.watch.command import author as live

app = typer.Typer(
    name="federator",
    cls=Group,
    help="From a Jupyter notebook to a federation of hospitals.",
    epilog="A site installs nothing. It runs its compose file: docs/site-operator.md",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(repository)
app.add_typer(pipeline.author)
app.add_typer(results.author)
app.add_typer(live)
app.add_typer(verification)
app.add_typer(coordinator)
app.add_typer(on_server)
app.add_typer(pipeline.workflow, name="pipeline", hidden=True)


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        typer.echo(f"federator {federator.__version__}")
        raise typer.Exit


@app.command(cls=Command, rich_help_panel=AUTHOR)
def check(
    notebooks: Annotated[
        list[Path],
        typer.Argument(metavar="NOTEBOOK...", help="notebooks, or folders of federations"),
    ],
) -> None:
    """Show which parts of a notebook go to the sites, which stay behind, and why."""
    from federator.app.check import check_federation, check_notebook
    from federator.federation import schema
    from federator.notebook import reader
    from federator.results.progress.place import is_federation

    with reporting_errors():
        for path in notebooks:
            with_file = is_federation(path)
            checked = (
                check_federation(schema.read(path))
                if with_file
                else check_notebook(reader.read(path))
            )
            typer.echo(checked.text)
            warn(checked.doubts)
            if with_file:
                typer.echo(f"{path}: " + ("see the warnings" if checked.doubts else "all is well"))


@app.command(cls=Command, rich_help_panel=AUTHOR)
def convert(path: FederationPath) -> None:
    """Write the Flower App, its requirements and a source map."""
    from federator.app.convert import convert as convert_to
    from federator.federation import schema

    with reporting_errors():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        warn(components.warnings)
        typer.echo(components.app)


@app.command(cls=Command, rich_help_panel=AUTHOR)
def run(
    path: FederationPath,
    rounds: Annotated[int | None, typer.Option(min=1, max=10_000, help="rounds to run now")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue from the last model")] = False,
    baselines: Annotated[
        bool | None, typer.Option(help="also train each site alone, to compare")
    ] = None,
) -> None:
    """Run the federation on this machine, each site with its own data folder."""
    from federator.app.convert import convert as convert_to
    from federator.deploy.local import local_run
    from federator.federation import schema
    from federator.results.progress.watching import watch
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with reporting_errors():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        warn(components.warnings)
        local = local_run.prepare(read, components, rounds, resume, baselines)
        warn(local.doubts())
        try:
            watch(local.events(), local.folder)
        finally:
            warn(local.afterthoughts())


@app.command("survey", cls=Command, rich_help_panel=AUTHOR)
def survey_data(path: FederationPath) -> None:
    """Compare the sites' data on this machine, without training: labels, ranges, units, copies."""
    from dataclasses import replace

    from federator.app.convert import convert as convert_to
    from federator.deploy.local import local_run
    from federator.federation import schema
    from federator.results.progress.watching import watch
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with reporting_errors():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        warn(components.warnings)
        local = replace(local_run.prepare(read, components, 1, False, False), survey_only=True)
        watch(local.events(), local.folder, survey_only=True)


@app.command("status", cls=Command, rich_help_panel=AUTHOR)
def show_status(
    path: Annotated[
        Path | None,
        typer.Argument(help="folder of a federation or a run; none in the server's container"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, for programs")] = False,
) -> None:
    """Show where the last run stands: sites, rounds, who is waited for, what failed."""
    from federator.results.progress import place, status

    with reporting_errors():
        standing = status.read(status.newest(place.runs(path)))
        typer.echo(status.as_json(standing) if as_json else "\n".join(status.lines(standing)))


@app.command("report", cls=Command, rich_help_panel=AUTHOR)
def write_report(
    folder: Annotated[Path, typer.Argument(help="folder of a run, under results/")],
) -> None:
    """Write the report of a run again, and print its table."""
    from rich.console import Console

    from federator.results import history, report
    from federator.results.progress.watching import print_findings

    with reporting_errors():
        page = report.write(folder)
        journal = history.read(folder)
        Console().print(report.comparison_table(journal))
        print_findings(journal)
        typer.echo(f"report: {page}")


def main() -> None:
    """Run the command line."""
    app(prog_name="federator")
