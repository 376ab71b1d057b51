"""The coordinator's commands on its signing keys: shown, exchanged for the next one, replaced."""

from pathlib import Path
from typing import Annotated

import typer

from federator.common.command_line import Command, FederationPath, Group, reporting_errors, warn
from federator.errors import InputError, Problem

group = typer.Typer(cls=Group, help="Exchange or replace the key that signs.", no_args_is_help=True)


@group.command("list", cls=Command)
def list_keys(path: FederationPath) -> None:
    """Show the keys that the sites' next files name, and when they end."""
    from federator.deploy import signing_keys
    from federator.federation import schema
    from federator.runtime.keys.expiry import warning

    with reporting_errors():
        known = signing_keys.published(schema.read(path))
        for found, use in zip(known, ("signs", "is the next one"), strict=False):
            typer.echo(f"{found.name} {use}, until {found.last_day}")
        told = warning(f"the key {known[0].name}", known[0].ends, "federator key add")
        warn([Problem(told)] if told else [])


@group.command(cls=Command)
def add(path: FederationPath) -> None:
    """Make the next key, which sites know beside the present one when they have a new file."""
    from federator.deploy.signing_keys import SigningKeys
    from federator.federation import schema

    with reporting_errors():
        made = SigningKeys.of(schema.read(path)).add()
        typer.echo(f"{made.name} is the next key, valid until {made.last_day}")
        typer.echo("commit public/, write the sites' files (federator compose), and send them;")
        typer.echo("when every site has taken its file over: federator key retire")


@group.command(cls=Command)
def retire(path: FederationPath) -> None:
    """Sign with the next key from now on; the present one is removed."""
    from federator.deploy.signing_keys import SigningKeys
    from federator.federation import schema

    with reporting_errors():
        kept = SigningKeys.of(schema.read(path)).retire()
        typer.echo(f"{kept.name} signs, when what holds the key has been started again")
        typer.echo("a site whose file has not this key refuses what it signs")


@group.command(cls=Command)
def lock(
    path: FederationPath,
    passphrase: Annotated[Path, typer.Argument(help="file with the passphrase, in one line")],
) -> None:
    """Encrypt the key that signs; the signer then needs the file with the passphrase."""
    from federator.deploy.signing_keys import SigningKeys
    from federator.federation import schema
    from federator.runtime.files import read_text_file

    with reporting_errors():
        try:
            words = read_text_file(passphrase).strip()
        except OSError as error:
            raise InputError(f"{passphrase}: cannot be read: {error.strerror}") from None
        SigningKeys.of(schema.read(path)).lock(words)
        typer.echo("the key is encrypted: name the file in .env, KEY_PASSPHRASE=/path/to/it, and")
        typer.echo("keep it where no copy of keys/ is")


@group.command(cls=Command)
def replace(path: FederationPath) -> None:
    """Replace all keys by a new one at once, after one has leaked or is lost."""
    from federator.deploy.signing_keys import SigningKeys
    from federator.federation import schema

    with reporting_errors():
        keys = SigningKeys.of(schema.read(path), lost=True)
        names = ", ".join(one.name for one in keys.replace())
        typer.echo(f"{keys.known()[0].name} takes the place of {names}")
        typer.echo("each site follows the replaced key until it has taken over a new file: stop")
        typer.echo("their links by telephone first (docs/when-things-go-wrong.md)")
