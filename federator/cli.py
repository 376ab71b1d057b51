"""The command line. No logic: each command reads, calls one package, and prints.

This file has the commands on notebooks and runs. Others are in ``repository/commands.py``,
``deploy/commands.py`` (the coordinator's), ``pipeline/commands.py`` (those of GitHub Actions),
``results/export/commands.py``, and ``command.py`` of ``results/verification/`` and
``results/watch/``.
"""

import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import federator
from federator.common.command_line import (
    AUTHOR,
    IN_SERVER,
    Command,
    FederationPath,
    Group,
    in_server,
    reporting_errors,
    warn,
)
from federator.deploy.commands import coordinator
from federator.errors import FederatorError
from federator.pipeline import commands as pipeline
from federator.repository.commands import author as repository
from federator.results.export import commands as results
from federator.results.verification.command import author as verification
from federator.results.watch.command import author as live

if TYPE_CHECKING:
    from collections.abc import Generator

    from federator.results.history import Journal
    from federator.runtime.server.journal import Line
    from federator.runtime.server.settings import ServerSettings

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
app.add_typer(pipeline.workflow, name="pipeline", hidden=True)


def _print_findings(journal: "Journal") -> None:
    """Print what a reader must know before using a run's figures."""
    from federator.results.findings import findings

    for finding in findings(journal):
        typer.secho(f"warning: {finding}", fg="yellow" if sys.stdout.isatty() else None)


def _watch(
    run: "Generator[Line, None, None]",
    folder: Path,
    settings: "ServerSettings | None" = None,
    fetch: str = "",
    survey_only: bool = False,
) -> None:
    """Show the progress of a run, and write its report when it ends, failed or not.

    Args:
        run: the events of the run.
        folder: the folder of its results.
        settings: if given, only what these settings allow to be published is shown.
        fetch: the command that copies the results out of the container.
        survey_only: whether no round is run; then it exits with 1 if anything was found.
    """
    from rich.console import Console

    from federator.results import history, publication, report, survey
    from federator.results.terminal import RunProgress

    console = Console()
    try:
        with RunProgress(console) as progress, closing(run) as events:
            for event in events:
                if shown := publication.public(event, settings) if settings else event:
                    progress.show(shown)
    except BaseException:
        with suppress(FederatorError):  # a run that never started has no report
            report.write(folder)
        raise
    page = report.write(folder)
    journal = publication.redacted(folder, settings) if settings else history.read(folder)
    console.print(survey.table(journal) if survey_only else report.comparison_table(journal))
    if survey_only:
        typer.echo(f"report: {page}")
    else:
        _print_findings(journal)
        typer.echo(f"model:  {folder / 'model.safetensors'}\nreport: {page}")
    if fetch:
        typer.echo(f"these files are in the container; to copy them, outside of it:\n    {fetch}")
    if survey_only and journal.survey and journal.survey.findings:
        raise typer.Exit(1)


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
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with reporting_errors():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        warn(components.warnings)
        local = local_run.prepare(read, components, rounds, resume, baselines)
        warn(local.doubts())
        try:
            _watch(local.events(), local.folder)
        finally:
            warn(local.afterthoughts())


@app.command("survey", cls=Command, rich_help_panel=AUTHOR)
def survey_data(path: FederationPath) -> None:
    """Compare the sites' data on this machine, without training: labels, ranges, units, copies."""
    from dataclasses import replace

    from federator.app.convert import convert as convert_to
    from federator.deploy.local import local_run
    from federator.federation import schema
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with reporting_errors():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        warn(components.warnings)
        local = replace(local_run.prepare(read, components, 1, False, False), survey_only=True)
        _watch(local.events(), local.folder, survey_only=True)


@app.command("rounds", cls=Command, rich_help_panel=IN_SERVER)
def start_rounds(
    public: Annotated[
        bool, typer.Option("--public", help="show only what federation.yaml allows to be published")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="stop the running rounds")] = False,
    unfinished: Annotated[bool, typer.Option("--unfinished", hidden=True)] = False,
) -> None:
    """Run the rounds that were ordered, continuing from the last model."""
    from federator.runtime.control import schedule
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with reporting_errors():
        server = in_server()
        if stop:
            typer.echo("stopped" if schedule.stop(server) else "no rounds are running")
            return
        rounds = schedule.unfinished(server) if unfinished else schedule.ordered(server)
        if rounds is not None:
            settings = server.settings if public else None
            order = rounds.order
            fetch = "" if public else server.fetching(order.run)
            folder = server.runs / order.run
            _watch(rounds.events(server), folder, settings, fetch, order.survey_only)


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


@app.command("publish", cls=Command, rich_help_panel=IN_SERVER)
def publish_run() -> None:
    """Write the publishable results of the last run to standard output, as a tar."""
    from federator.results import history, publication

    with reporting_errors():
        server = in_server()
        publication.stream(history.latest(server.runs), server.settings)


@app.command("report", cls=Command, rich_help_panel=AUTHOR)
def write_report(
    folder: Annotated[Path, typer.Argument(help="folder of a run, under results/")],
) -> None:
    """Write the report of a run again, and print its table."""
    from rich.console import Console

    from federator.results import history, report

    with reporting_errors():
        page = report.write(folder)
        journal = history.read(folder)
        Console().print(report.comparison_table(journal))
        _print_findings(journal)
        typer.echo(f"report: {page}")


def main() -> None:
    """Run the command line."""
    app(prog_name="federator")
