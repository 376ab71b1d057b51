"""The command ``watch``: a live page of the run, on this machine."""

import time
from pathlib import Path
from typing import Annotated

import typer

from federator.common.command_line import AUTHOR, Command, Group, reporting_errors

author = typer.Typer(cls=Group)
_OFTEN = 0.5  # seconds from one look at the journal to the next


@author.command("watch", cls=Command, rich_help_panel=AUTHOR)
def watch_run(
    path: Annotated[
        Path | None,
        typer.Argument(help="folder of a federation or a run; none in the server's container"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 for any that is free")] = 8712,
    bind: Annotated[str, typer.Option(help="the IPv4 address to listen at")] = "127.0.0.1",
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help="a name by which it may be asked besides; several times"),
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(help="a file with the token; else it is new at each start")
    ] = None,
) -> None:
    """Serve a live page of the last run, and its metrics, until Ctrl-C."""
    from federator.errors import InputError, Problem
    from federator.results.progress import place
    from federator.results.watch.access import Access, new_token, read_token
    from federator.results.watch.following import Following
    from federator.results.watch.service import Board, Server
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with reporting_errors():
        following = Following(place.runs(path), place.shows_sites(path))
        token = read_token(token_file) if token_file else new_token()
        following.look()
        board = Board(following)
        try:
            server = Server((bind, port), board, Access(token, names or ()))
        except OSError as error:
            hint = "choose another: --port PORT"
            problem = Problem(f"{bind}:{port} cannot be listened at: {error.strerror}", hint=hint)
            raise InputError(problem) from None
    server.start()
    # Of a token in a file nothing is printed: what a container prints is a log.
    told = "TOKEN" if token_file else token
    typer.echo(f"live page: http://{bind}:{server.server_port}/?token={told}")
    typer.echo("metrics:   the same address with /metrics; end with Ctrl-C")
    try:
        while True:
            time.sleep(_OFTEN)
            if following.look():
                board.put(following)
    except KeyboardInterrupt:
        typer.echo("ended")
    finally:
        server.stop()
