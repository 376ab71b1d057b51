"""The coordinator's commands on the server, from outside of its containers and inside of them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from federator.common.command_line import (
    COORDINATOR,
    IN_SERVER,
    ON_SERVER,
    Command,
    FederationPath,
    Group,
    in_server,
    relative,
    reporting_errors,
    warn,
)
from federator.errors import InputError, Problem

if TYPE_CHECKING:
    from federator.deploy.host.containers import Server
    from federator.runtime.control.server_paths import ServerPaths

server = typer.Typer(cls=Group)


def _outside(path: Path) -> "Server":
    """Return the server of a federation, whose containers run on this machine."""
    from federator.deploy.host.containers import Server
    from federator.federation import schema

    return Server(schema.read(path))


@server.command("serve", cls=Command, rich_help_panel=COORDINATOR)
def serve(
    path: FederationPath,
    have_read: Annotated[
        bool, typer.Option("--have-read", help="you have read the server's files as they are now")
    ] = False,
    build_at_site: Annotated[
        bool, typer.Option("--build-at-site", help="have each site build its worker's image")
    ] = False,
) -> None:
    """Bring the server up: make the keys, images and files that are missing, and start it."""
    from federator.deploy.host.serving import Serving
    from federator.deploy.server_file.approval import approve
    from federator.federation import schema

    with reporting_errors():
        serving = Serving(schema.read(path), build_at_site)
        for told in serving.prepare():
            if isinstance(told, Problem):
                warn([told])
            else:
                typer.echo(told)
        if unread := serving.unread:
            names = ", ".join(str(relative(file)) for file in unread)
            question = f"new or changed: {names}. Have you read them?"
            asked = not have_read and sys.stdin.isatty()
            if not (have_read or (asked and typer.confirm(question))):
                hint = f"read them, then: federator serve {relative(path)} --have-read"
                raise InputError(Problem(f"not started; new or changed: {names}", hint=hint))
            approve(serving.federation)
            typer.echo(f"approved: {names}")
        typer.echo(serving.start())
        typer.echo("next:\n" + "\n".join(f"    {command}" for command in serving.left))


@server.command("rounds", cls=Command, rich_help_panel=ON_SERVER)
def rounds(
    path: Annotated[
        Path | None,
        typer.Argument(help="folder of the federation; none in the server's container"),
    ] = None,
    count: Annotated[
        int | None, typer.Option("--rounds", min=1, help="order so many rounds first")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="local epochs in each round")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="start from the first model")] = False,
    baselines: Annotated[bool | None, typer.Option(help="also train each site alone")] = None,
    survey: Annotated[bool, typer.Option("--survey", help="compare the data only")] = False,
    by: Annotated[str, typer.Option(help="who gives the order")] = "",
    public: Annotated[
        bool, typer.Option("--public", help="show only what federation.yaml allows to be published")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="follow the running rounds")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="stop the running rounds")] = False,
    unfinished: Annotated[bool, typer.Option("--unfinished", hidden=True)] = False,
) -> None:
    """Order rounds, run them and follow them; Ctrl-C leaves them going."""
    options = {"rounds": count, "epochs": epochs, "fresh": fresh, "baselines": baselines}
    order = [word for name, value in {**options, "survey": survey, "by": by}.items()
             for word in _option(name, value)]  # fmt: skip
    with reporting_errors():
        if path is not None:
            how = [name for name, on in (("--public", public), ("--follow", follow)) if on]
            raise typer.Exit(_rounds_outside(_outside(path), order, how, stop))
        if order:
            hint = "on the server's machine: federator rounds compose/NAME --rounds 3"
            raise InputError(Problem("orders are given outside of this container", hint=hint))
        _rounds_inside(in_server(), public, follow, stop, unfinished)


def _option(name: str, value: int | str | bool | None) -> list[str]:
    """Return an option of the command that gives orders."""
    if isinstance(value, bool):
        negative = [f"--no-{name}"] if name == "baselines" else []
        return [f"--{name}"] if value else negative
    return [f"--{name}", str(value)] if value else []


def _rounds_outside(containers: "Server", order: list[str], how: list[str], stop: bool) -> int:
    """Order and follow rounds, or stop them, in the server's containers; return the status."""
    if stop:
        status = containers.inside("federator", "rounds", "--stop")
        return containers.order("--stop") or status
    if order or not how:
        if "--follow" in how:
            raise InputError("--follow takes no order: leave out one of the two")
        if status := containers.order(*order):
            return status
    return containers.inside("federator", "rounds", *how)


def _rounds_inside(
    paths: "ServerPaths", public: bool, follow: bool, stop: bool, unfinished: bool
) -> None:
    """Run the rounds that were ordered, follow those that run, or stop them."""
    from federator.results.progress.watching import watch
    from federator.runtime.control import following, schedule
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    if stop:
        typer.echo("stopped" if schedule.stop(paths) else "no rounds are running")
        return
    take = following.running if follow else following.begin
    going = (schedule.unfinished if unfinished else take)(paths)
    if going is None:
        return
    try:
        fetch = "" if public else f"federator results compose/{paths.settings.federation}"
        settings = paths.settings if public else None
        watch(going.events(), going.folder, settings, fetch, going.order.survey_only)
    except (KeyboardInterrupt, SystemExit):
        if unfinished:
            raise
        typer.echo(following.leaving(paths), err=True)
        raise typer.Exit(130) from None


@server.command("results", cls=Command, rich_help_panel=COORDINATOR)
def copy_results(
    path: FederationPath,
    target: Annotated[Path, typer.Argument(help="folder to copy into")] = Path("results"),
) -> None:
    """Copy the results of all runs out of the server's container."""
    with reporting_errors():
        _outside(path).copy_results(target)
        typer.echo(f"copied into {target}")


@server.command("logs", cls=Command, rich_help_panel=COORDINATOR)
def show_logs(
    path: FederationPath,
    follow: Annotated[bool, typer.Option("--follow", help="go on showing")] = False,
) -> None:
    """Show what the server's containers have said."""
    with reporting_errors():
        raise typer.Exit(_outside(path).pass_on("logs", *(["--follow"] if follow else [])))


@server.command("stop", cls=Command, rich_help_panel=COORDINATOR)
def stop_server(path: FederationPath) -> None:
    """Stop the server's containers; an order that is open goes on with the next start."""
    with reporting_errors():
        _outside(path).show("stop")


@server.command("publish", cls=Command, rich_help_panel=IN_SERVER)
def publish_run() -> None:
    """Write the publishable results of the last run to standard output, as a tar."""
    from federator.results import history, publication

    with reporting_errors():
        paths = in_server()
        publication.stream(history.latest(paths.runs), paths.settings)
