"""The coordinator's commands: images, compose files, certificates, and the admitted sites."""

import json
from pathlib import Path
from typing import Annotated

import typer

from federator.common.command_line import (
    COORDINATOR,
    Command,
    FederationPath,
    Group,
    relative,
    reporting_errors,
    warn,
)
from federator.deploy import key_commands
from federator.errors import InputError, Problem

coordinator = typer.Typer(cls=Group)
SiteName = Annotated[str, typer.Argument(help="the site's name in federation.yaml")]


@coordinator.command(cls=Command, rich_help_panel=COORDINATOR)
def build(
    path: FederationPath,
    push: Annotated[bool, typer.Option("--push", help="push, and record the digests")] = False,
    pip_config: Annotated[
        Path | None, typer.Option(help="a pip.conf, with or without a login; no image keeps it")
    ] = None,
) -> None:
    """Build those images of link, client and server whose content is new."""
    from federator.app.convert import convert as convert_to
    from federator.federation import schema
    from federator.images import build as images

    with reporting_errors():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        made = images.build(read, components, push, pip_config)
        warn(components.warnings + made.warnings)
        for name, image in made.by_name().items():
            typer.echo(f"{name}: {image}")


@coordinator.command("base", cls=Command, rich_help_panel=COORDINATOR)
def print_base(path: FederationPath) -> None:
    """Print the newest digest of the image that all others start from, for the federation file."""
    from federator.federation import schema
    from federator.images.registry import Registry

    with reporting_errors():
        base = schema.read(path).build.base
        name, _, _ = base.partition("@")
        digest = Registry().digest(name)
        if digest is None:
            raise InputError(Problem(f"there is no image {name}", hint="see build: base"))
        if base == f"{name}@{digest}":
            typer.echo(f"{base} is the newest")
            return
        typer.echo(f"build: {{base: {json.dumps(f'{name}@{digest}')}}}")
        typer.echo("write this into federation.yaml, then build: all images are new", err=True)


@coordinator.command("compose", cls=Command, rich_help_panel=COORDINATOR)
def write_compose(
    path: FederationPath,
    build_at_site: Annotated[
        bool, typer.Option("--build-at-site", help="have each site build its worker's image")
    ] = False,
) -> None:
    """Write the compose files of the server and of each site, with the pushed images."""
    from federator.app.convert import converted
    from federator.deploy import compose, site_keys
    from federator.federation import schema
    from federator.images.build import Images
    from federator.runtime.files import fingerprint

    with reporting_errors():
        read = schema.read(path)
        components = converted(read, read.root / "build")
        images = Images.read(components.folder)
        for file in compose.write_built(read, components, images, build_at_site):
            typer.echo(file)
        warn(site_keys.missing_in_cohort(read))
        for site in read.sites:
            content = (read.folder / f"{site.name}.yaml").read_bytes()
            typer.echo(f"fingerprint of {site.name}.yaml: {fingerprint(content)}")


@coordinator.command("approve", cls=Command, rich_help_panel=COORDINATOR)
def approve_server(path: FederationPath) -> None:
    """Note on the server that GitHub may start its files as they are; refuse unsafe ones."""
    from federator.deploy.server_file.approval import approve
    from federator.federation import schema

    with reporting_errors():
        typer.echo(f"{relative(approve(schema.read(path)))}: rounds.yml may start these files")


@coordinator.command("fingerprint", cls=Command, rich_help_panel=COORDINATOR)
def print_fingerprint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="such as a site's file")],
) -> None:
    """Print the fingerprint of a site's file, for two people to compare by telephone."""
    from federator.runtime.files import fingerprint

    with reporting_errors():
        for file in files:
            try:
                typer.echo(f"{fingerprint(file.read_bytes())}   {file}")
            except OSError as error:
                raise InputError(f"{file}: cannot be read: {error.strerror}") from None


@coordinator.command("invite", cls=Command, rich_help_panel=COORDINATOR)
def write_invitation(
    path: FederationPath,
    name: Annotated[
        str | None, typer.Argument(metavar="SITE", help="the site's name; without, all sites")
    ] = None,
    output: Annotated[Path, typer.Option(help="folder to write to")] = Path("dist"),
) -> None:
    """Write what a site is sent, as one archive: its compose file, its settings, its page."""
    from federator.deploy import invitation
    from federator.federation import schema

    with reporting_errors():
        read = schema.read(path)
        for one in [name] if name else [known.name for known in read.sites]:
            made = invitation.write(read, one, output)
            typer.echo(f"{made.path}: send it to {one}" + ("" if made.is_new else " (unchanged)"))
            typer.echo(f"read this fingerprint to {one} by telephone: {made.fingerprint}")


@coordinator.command("bundle", cls=Command, rich_help_panel=COORDINATOR)
def write_bundle(
    path: FederationPath,
    name: Annotated[str, typer.Argument(metavar="SITE", help="the site's name")],
    output: Annotated[Path, typer.Option(help="folder to write to")] = Path("dist"),
) -> None:
    """Write a file for a site without a registry: images, compose file, checksums."""
    from federator.deploy import bundle
    from federator.federation import schema

    with reporting_errors():
        made = bundle.write(schema.read(path), name, output)
        typer.echo(f"{made.path}\nfingerprint of its checksums: {made.fingerprint}")


@coordinator.command("provision", cls=Command, rich_help_panel=COORDINATOR)
def provision_server(
    path: FederationPath,
    renew: Annotated[bool, typer.Option("--renew", help="issue a new server certificate")] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="a public authority's certificate, with intermediates")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="that certificate's key")] = None,
    authority_key: Annotated[
        Path | None, typer.Option(help="the own authority's key, kept elsewhere: ca.key")
    ] = None,
) -> None:
    """Create the server's certificates and the coordinator's key; run this on the server."""
    from federator.deploy.provision import provision
    from federator.federation import schema

    with reporting_errors():
        made = provision(schema.read(path), renew, certificate, key, authority_key)
        for file in made.written:
            typer.echo(relative(file))
        typer.echo(f"the server's certificate is valid until {made.expires:%Y-%m-%d}")
        if made.renew_soon:
            warn([Problem("it expires soon", hint="give a new one: --certificate and --key")])
        if not made.written:
            typer.echo("all files existed: nothing has been changed")
        keys, public = relative(made.keys), relative(made.public)
        typer.echo(f"keep {keys} on this machine; commit {public}")


site = typer.Typer(cls=Group, help="Admit sites, or remove them.", no_args_is_help=True)
coordinator.add_typer(site, name="site", rich_help_panel=COORDINATOR)
coordinator.add_typer(key_commands.group, name="key", rich_help_panel=COORDINATOR)


@site.command("add", cls=Command)
def add_site(
    path: FederationPath,
    name: SiteName,
    key: Annotated[Path, typer.Argument(help="file with the public key that the site sent")],
) -> None:
    """Admit a site with the public key that it sent."""
    from federator.deploy import site_keys
    from federator.federation import schema

    with reporting_errors():
        read = schema.read(path)
        typer.echo(f"{name}: {site_keys.add(read, name, key)}")
        typer.echo("compare this fingerprint with the site's by telephone, then commit and push")
        if missing := site_keys.without_key(read):
            typer.echo(f"no key yet: {', '.join(missing)}")


@site.command("remove", cls=Command)
def remove_site(path: FederationPath, name: SiteName) -> None:
    """Remove a site: its present key is never admitted again."""
    from federator.deploy import site_keys
    from federator.federation import schema

    with reporting_errors():
        read = schema.read(path)
        typer.echo(f"removed {site_keys.remove(read, name)}: commit and push")
        if (mark := site_keys.nobody(read)) is not None:
            typer.echo(
                f"that was the last key: {mark} records that no site is admitted; commit it, too"
            )
