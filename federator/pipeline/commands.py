"""The commands of GitHub Actions: the steps of ``federate.yml``, and ``federator dispatch``."""

from pathlib import Path
from typing import Annotated

import typer

from federator.common import github_job
from federator.common.command_line import (
    AUTHOR,
    Command,
    FederationPath,
    Group,
    reporting_errors,
    warn,
)

author = typer.Typer(cls=Group)
workflow = typer.Typer(cls=Group, help="The steps of federate.yml.", no_args_is_help=True)


@author.command("dispatch", cls=Command, rich_help_panel=AUTHOR)
def dispatch_rounds(
    path: Annotated[Path, typer.Argument(metavar="FEDERATION", help="its name or folder")],
    rounds: Annotated[int | None, typer.Option(min=1, help="rounds to run now")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="local epochs in each round")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="start from the first model")] = False,
    ref: Annotated[
        str | None, typer.Option(help="branch of the workflow; default: the default branch")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="at GitHub; default: git's origin")
    ] = None,
    follow: Annotated[
        int | None, typer.Option(metavar="RUN", help="start nothing, follow this workflow run")
    ] = None,
) -> None:
    """Start rounds on the server through GitHub, follow them, and download their report."""
    from rich.console import Console

    from federator.pipeline import dispatch

    with reporting_errors():
        order = dispatch.prepare(dispatch.find(path), repository)
        with order.resumable():
            dispatch.watch(order.events(rounds, epochs, fresh, ref, follow), Console())


@workflow.command("plan", cls=Command)
def plan_pipeline(
    since: Annotated[str, typer.Option(help="the commit before the push; if unknown, all")] = "",
) -> None:
    """Check and convert the federations that a push concerns; print those to build, as JSON."""
    import json

    from federator.pipeline import plan, summary

    with reporting_errors():
        made = plan.make(Path.cwd(), since)
        warn(made.warnings)
        github_job.summarise(summary.planned(made))
        typer.echo(json.dumps(made.build))


@workflow.command("login", cls=Command)
def log_in(registry: Annotated[str, typer.Argument(help="such as docker.io")]) -> None:
    """Log Docker in at a registry, as DOCKERHUB_USERNAME with DOCKERHUB_TOKEN."""
    from federator.images import login

    with reporting_errors():
        login.log_in(registry)


@workflow.command("summary", cls=Command)
def summarise_build(path: FederationPath) -> None:
    """Summarise what was built for a federation, and what each site has to do."""
    from federator.federation import schema
    from federator.images.build import Images
    from federator.images.registry import Registry
    from federator.pipeline import summary

    with reporting_errors():
        read = schema.read(path)
        images = Images.read(read.root / "build" / read.name)
        github_job.summarise(summary.built(read, images, Registry()))


@workflow.command("subjects", cls=Command)
def list_subjects(path: FederationPath) -> None:
    """Print digest and name of each image that was built, for an attestation."""
    from federator.federation import schema
    from federator.images.build import Images

    with reporting_errors():
        read = schema.read(path)
        for image in Images.read(read.root / "build" / read.name).by_name().values():
            name, _, digest = str(image).partition("@sha256:")
            typer.echo(f"{digest}  {name}")


@workflow.command("deliver", cls=Command)
def deliver_files(
    made: Annotated[Path, typer.Argument(help="folder with a folder compose-NAME for each")],
    branch: Annotated[str, typer.Option(help="branch to commit to")],
    built: Annotated[str, typer.Option(help="the commit that they were made from")],
) -> None:
    """Commit compose files to the repository; if that is not allowed, open pull requests."""
    from federator.pipeline import summary
    from federator.pipeline.delivery import Committer
    from federator.pipeline.pull_request import PullRequests

    with reporting_errors():
        committer = Committer(Path.cwd(), branch, built, PullRequests(branch))
        github_job.summarise(summary.delivered(committer.deliver(made)))
