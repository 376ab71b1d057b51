"""A run as a terminal shows it, and its report at its end."""

import sys
from collections.abc import Generator
from contextlib import closing, suppress
from pathlib import Path

import typer
from rich.console import Console

from federator.errors import FederatorError
from federator.results import history, publication, report, survey
from federator.results.findings import findings
from federator.results.history import Journal
from federator.results.terminal import RunProgress
from federator.runtime.server.journal import Line
from federator.runtime.server.settings import ServerSettings


def watch(
    run: Generator[Line, None, None],
    folder: Path,
    settings: ServerSettings | None = None,
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

    Raises:
        FederatorError: if the run fails.
        typer.Exit: if a survey found something.
    """
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
        print_findings(journal)
        typer.echo(f"model:  {folder / 'model.safetensors'}\nreport: {page}")
    if fetch:
        typer.echo(f"these files are in the container; to copy them, outside of it:\n    {fetch}")
    if survey_only and journal.survey and journal.survey.findings:
        raise typer.Exit(1)


def print_findings(journal: Journal) -> None:
    """Print what a reader must know before using a run's figures."""
    for finding in findings(journal):
        typer.secho(f"warning: {finding}", fg="yellow" if sys.stdout.isatty() else None)
