"""The command line. No logic: each command reads, calls one module, and prints."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import federator
from federator.common.command_help import AUTHOR, COORDINATOR, INSIDE, Command, Group
from federator.errors import FederatorError, InputError, Problem
from federator.pipeline import job

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable

    from federator.results.history import Journal
    from federator.runtime.control.runs import Event
    from federator.runtime.server.settings import ServerSettings

app = typer.Typer(
    name="federator",
    cls=Group,
    help="From a Jupyter notebook to a federation of hospitals.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

FederationPath = Annotated[
    Path, typer.Argument(help="folder of the federation, or its federation.yaml")
]


@contextmanager
def _explained() -> Iterator[None]:
    """Print an expected error as it stands, and leave with its exit code."""
    try:
        yield
    except FederatorError as error:
        if job.is_running():
            job.fail(error)
        else:
            typer.secho(str(error), fg="red" if sys.stderr.isatty() else None, err=True)
        raise typer.Exit(error.exit_code) from None
    except typer.Abort:
        typer.echo("stopped at a question; nothing was written (--yes asks none)", err=True)
        raise typer.Exit(130) from None
    except KeyboardInterrupt:
        typer.echo("stopped; what there is was kept (federator run --resume goes on)", err=True)
        raise typer.Exit(130) from None


def _warn(problems: "Iterable[Problem]") -> None:
    for problem in problems:
        if job.is_running():
            job.annotate("warning", problem)
            continue
        typer.secho(f"warning: {problem}", fg="yellow" if sys.stderr.isatty() else None, err=True)


def _tell(told: "Journal") -> None:
    """Print what there is to know before a run's figures are used."""
    from federator.results.findings import findings

    for finding in findings(told):
        typer.secho(f"warning: {finding}", fg="yellow" if sys.stdout.isatty() else None)


def _watch(
    run: "Generator[Event, None, None]",
    folder: Path,
    settings: "ServerSettings | None" = None,
    fetch: str = "",
) -> None:
    """Show a run as it goes on, and write its report at its end, whatever that is.

    With a server's settings, no more is shown than they let be published. ``fetch`` is the command
    that brings the results to where a person can open them.
    """
    from rich.console import Console

    from federator.results import history, publication, report
    from federator.results.terminal import RunProgress

    console = Console()
    try:
        with RunProgress(console) as progress, closing(run) as events:
            for event in events:
                if shown := publication.public(event, settings) if settings else event:
                    progress.show(shown)
    except BaseException:
        with suppress(FederatorError):  # of a run that has not started there is none
            report.write(folder)
        raise
    page = report.write(folder)
    told = publication.redacted(folder, settings) if settings else history.read(folder)
    console.print(report.table2(told))
    _tell(told)
    typer.echo(f"model:  {folder / 'model.safetensors'}\nreport: {page}")
    if fetch:
        typer.echo(f"these are in the container; to fetch them, outside:\n    {fetch}")


def _from_here(path: Path) -> Path:
    """Return a path as it is written in the present folder, if it is below that."""
    here = Path.cwd()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path


@app.callback(invoke_without_command=True)
def _main(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        typer.echo(f"federator {federator.__version__}")
        raise typer.Exit


@app.command(cls=Command, rich_help_panel=AUTHOR)
def init(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="the folder to make")] = Path(),
    federation: Annotated[str | None, typer.Option(help="name of its first federation")] = None,
    site: Annotated[list[str] | None, typer.Option(help="name of a site; once for each")] = None,
    labels: Annotated[str | None, typer.Option(help="classes, such as benign,malignant")] = None,
    images: Annotated[str | None, typer.Option(help="where images go: docker.io/acme")] = None,
    server: Annotated[str | None, typer.Option(help="the server as the sites reach it")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing")] = False,
) -> None:
    """Make a repository of your own; in a terminal you are asked for what no option tells."""
    from federator.repository import answers
    from federator.repository import init as repository

    with _explained():
        given = {"federation": federation, "sites": site, "labels": labels}
        given |= {"images": images, "server": server}
        if repository.exists(folder, given):
            _update(folder, yes=yes)
            return
        told = answers.gather(folder, given, ask=sys.stdin.isatty() and not yes)
        repository.init(folder, told)
        typer.echo(repository.next_steps(folder, told))


@app.command("update", cls=Command, rich_help_panel=AUTHOR)
def update_repository(
    folder: Annotated[Path, typer.Argument(help="the repository")] = Path(),
    take: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="replace a file that you changed, too")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show what would change")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing")] = False,
) -> None:
    """Bring what init made to the installed version; what you wrote or changed stays."""
    with _explained():
        _update(folder, take or (), dry_run, yes)


def _update(
    folder: Path, take: "Collection[str]" = (), dry_run: bool = False, yes: bool = False
) -> None:
    from federator.repository import update

    found = update.compare(folder, take)
    for change in found.changes:
        typer.echo(f"{change}\n")
    if not found.changes:
        typer.echo(f"all is as version {federator.__version__} makes it")
    elif not dry_run and (yes or typer.confirm("Write this?")):
        found.apply()


@app.command(cls=Command, rich_help_panel=AUTHOR)
def check(
    notebooks: Annotated[
        list[Path],
        typer.Argument(metavar="NOTEBOOK...", help="notebooks, or folders of federations"),
    ],
) -> None:
    """Tell what of a notebook goes into the federation, what stays behind, and why."""
    from federator.app.check import check_federation, is_federation
    from federator.federation import schema
    from federator.notebook import contract, preview, reader
    from federator.notebook.dependencies import requirements

    with _explained():
        for path in notebooks:
            if is_federation(path):
                told, doubts = check_federation(schema.read(path))
                typer.echo(told)
                _warn(doubts)
                typer.echo(f"{path}: " + ("see the warnings" if doubts else "all is well"))
                continue
            read = reader.read(path)
            parts = contract.take_apart(read)
            typer.echo(preview.render(parts, read))
            missing = requirements.missing([*parts.task.imported, *parts.aggregation.imported])
            _warn(dict.fromkeys(read.warnings + parts.warnings + missing))


@app.command(cls=Command, rich_help_panel=AUTHOR)
def convert(path: FederationPath) -> None:
    """Write the components: a Flower App, its requirements and a source map."""
    from federator.app.convert import convert as convert_to
    from federator.federation import schema

    with _explained():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        _warn(components.warnings)
        typer.echo(components.app)


@app.command(cls=Command, rich_help_panel=COORDINATOR)
def build(
    path: FederationPath,
    push: Annotated[bool, typer.Option("--push", help="push, and note the digests")] = False,
    pip_config: Annotated[
        Path | None, typer.Option(help="a pip.conf, with a login or not; it stays in no image")
    ] = None,
) -> None:
    """Build the images of link, client and server: those whose content is new."""
    from federator.app.convert import convert as convert_to
    from federator.federation import schema
    from federator.images import build as images

    with _explained():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        made = images.build(read, components, push, pip_config)
        _warn(components.warnings + made.warnings)
        for name, image in made.by_name().items():
            typer.echo(f"{name}: {image}")


@app.command("compose", cls=Command, rich_help_panel=COORDINATOR)
def write_compose(path: FederationPath) -> None:
    """Write the compose files of the server and of each site, for the images that were pushed."""
    from federator.app.convert import converted
    from federator.deploy import compose
    from federator.federation import schema
    from federator.images.build import Images
    from federator.runtime.fingerprint import fingerprint

    with _explained():
        read = schema.read(path)
        components = converted(read, read.root / "build")
        images = Images.read(components.folder)
        size = compose.model_bytes(read, images)
        for file in compose.write(read, components.app, images, size):
            typer.echo(file)
        for site in read.sites:
            content = (read.folder / f"{site.name}.yaml").read_bytes()
            typer.echo(f"fingerprint of {site.name}.yaml: {fingerprint(content)}")


@app.command("fingerprint", cls=Command, rich_help_panel=COORDINATOR)
def print_fingerprint(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="such as a site's file")],
) -> None:
    """Print the fingerprint of a site's file, for two people to compare by telephone."""
    from federator.runtime.fingerprint import fingerprint

    with _explained():
        for file in files:
            try:
                typer.echo(f"{fingerprint(file.read_bytes())}   {file}")
            except OSError as error:
                raise InputError(f"{file}: cannot be read: {error.strerror}") from None


@app.command("bundle", cls=Command, rich_help_panel=COORDINATOR)
def write_bundle(
    path: FederationPath,
    name: Annotated[str, typer.Argument(metavar="SITE", help="the site's name")],
    output: Annotated[Path, typer.Option(help="folder to write to")] = Path("dist"),
) -> None:
    """Write one file for a site without access to a registry: images, compose file, checksums."""
    from federator.deploy import bundle
    from federator.federation import schema

    with _explained():
        made = bundle.write(schema.read(path), name, output)
        typer.echo(f"{made.path}\nfingerprint of its checksums: {made.fingerprint}")


@app.command(cls=Command, rich_help_panel=AUTHOR)
def run(
    path: FederationPath,
    rounds: Annotated[int | None, typer.Option(min=1, max=10_000, help="rounds to run now")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the last model")] = False,
    baselines: Annotated[
        bool | None, typer.Option(help="also train each site alone, to compare")
    ] = None,
) -> None:
    """Run the whole federation on this machine, each site with its own data folder."""
    from federator.app.convert import convert as convert_to
    from federator.deploy.local import local_run
    from federator.federation import schema
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with _explained():
        read = schema.read(path)
        components = convert_to(read, read.root / "build")
        _warn(components.warnings)
        rehearsal = local_run.prepare(read, components, rounds, resume, baselines)
        _warn(rehearsal.doubts())
        try:
            _watch(rehearsal.events(), rehearsal.folder)
        finally:
            _warn(rehearsal.afterthoughts())


@app.command("rounds", cls=Command, rich_help_panel=INSIDE)
def start_rounds(
    rounds: Annotated[int | None, typer.Option(min=1, max=10_000, help="rounds to run now")] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="local epochs in each round")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="begin with the first model")] = False,
    baselines: Annotated[
        bool | None, typer.Option(help="also train each site alone, to compare")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="show no more than federation.yaml lets be published")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="stop those that are running")] = False,
    unfinished: Annotated[bool, typer.Option("--unfinished", hidden=True)] = False,
) -> None:
    """Start rounds in the running server: called in its container, goes on from the last model."""
    from federator.runtime.control import schedule
    from federator.runtime.control.runs import end_on_sigterm

    end_on_sigterm()
    with _explained():
        place = schedule.server_paths()
        if stop:
            typer.echo("stopped" if schedule.stop(place) else "no rounds are running")
            return
        if unfinished:
            asked = schedule.unfinished(place)
        else:
            asked = schedule.plan(place, rounds, epochs, fresh, baselines)
        if asked is not None:
            settings = place.settings if public else None
            fetch = "" if public else place.fetching(asked.run)
            _watch(asked.events(place), place.runs / asked.run, settings, fetch)


@app.command("publish", cls=Command, rich_help_panel=INSIDE)
def publish_run() -> None:
    """Write what of the last run may be published to standard output: a tar."""
    from federator.results import publication
    from federator.runtime.control import schedule

    with _explained():
        place = schedule.server_paths()
        publication.stream(publication.latest(place.runs), place.settings)


@app.command("dispatch", cls=Command, rich_help_panel=AUTHOR)
def dispatch_rounds(
    path: Annotated[Path, typer.Argument(metavar="FEDERATION", help="its name or folder")],
    rounds: Annotated[int | None, typer.Option(min=1, help="rounds to run now")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="local epochs in each round")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="begin with the first model")] = False,
    ref: Annotated[
        str | None, typer.Option(help="branch whose workflow is run; else the default one")
    ] = None,
    repository: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="at GitHub; else that of git's origin")
    ] = None,
    follow: Annotated[
        int | None, typer.Option(metavar="RUN", help="order nothing, follow this run instead")
    ] = None,
) -> None:
    """Order rounds on the server through GitHub, follow them, and fetch their report."""
    from rich.console import Console

    from federator.pipeline import dispatch

    with _explained():
        order = dispatch.prepare(dispatch.find(path), repository)
        with order.resumable():
            dispatch.watch(order.events(rounds, epochs, fresh, ref, follow), Console())


@app.command("provision", cls=Command, rich_help_panel=COORDINATOR)
def provision_server(
    path: FederationPath,
    renew: Annotated[
        bool, typer.Option("--renew", help="issue the server's certificate anew")
    ] = False,
    certificate: Annotated[
        Path | None, typer.Option(help="a public authority's certificate, with intermediates")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="that certificate's key")] = None,
) -> None:
    """Make the server's certificates and the coordinator's key: run this on the server."""
    from federator.deploy.provision import provision
    from federator.federation import schema

    with _explained():
        made = provision(schema.read(path), renew, certificate, key)
        for file in made.written:
            typer.echo(_from_here(file))
        typer.echo(f"the server's certificate is valid until {made.expires:%Y-%m-%d}")
        if made.renew_soon:
            _warn([Problem("it expires soon", hint="give a new one: --certificate and --key")])
        if not made.written:
            typer.echo("all was there: nothing has been changed")
        keys, public = _from_here(made.keys), _from_here(made.public)
        typer.echo(f"keep {keys} on this machine; commit {public}")


site = typer.Typer(cls=Group, help="Say which sites are let in.", no_args_is_help=True)
app.add_typer(site, name="site", rich_help_panel=COORDINATOR)
SiteName = Annotated[str, typer.Argument(help="the site's name in federation.yaml")]


@site.command("add", cls=Command)
def add_site(
    path: FederationPath,
    name: SiteName,
    key: Annotated[Path, typer.Argument(help="file with the public key that the site sent")],
) -> None:
    """Let a site in with the public key that it sent."""
    from federator.deploy import site_keys
    from federator.federation import schema

    with _explained():
        read = schema.read(path)
        typer.echo(f"{name}: {site_keys.add(read, name, key)}")
        typer.echo("compare this fingerprint with the site's by telephone, then commit and push")
        if missing := site_keys.without_key(read):
            typer.echo(f"no key yet: {', '.join(missing)}")


@site.command("remove", cls=Command)
def remove_site(path: FederationPath, name: SiteName) -> None:
    """Lock a site out: for good with its present key."""
    from federator.deploy import site_keys
    from federator.federation import schema

    with _explained():
        read = schema.read(path)
        typer.echo(f"removed {site_keys.remove(read, name)}: commit and push")
        if (mark := site_keys.nobody(read)) is not None:
            typer.echo(f"that was the last key: {mark} says that no site is let in; commit it, too")


@app.command("report", cls=Command, rich_help_panel=AUTHOR)
def write_report(
    folder: Annotated[Path, typer.Argument(help="folder of a run, under results/")],
) -> None:
    """Write the report of a run anew and print its table."""
    from rich.console import Console

    from federator.results import history, report

    with _explained():
        page = report.write(folder)
        told = history.read(folder)
        Console().print(report.table2(told))
        _tell(told)
        typer.echo(f"report: {page}")


pipeline = typer.Typer(
    cls=Group, help="What the workflow federate.yml is made of.", no_args_is_help=True
)
app.add_typer(pipeline, name="pipeline", hidden=True)


@pipeline.command("plan", cls=Command)
def plan_pipeline(
    since: Annotated[str, typer.Option(help="the commit before the push; if unknown, all")] = "",
) -> None:
    """Check and convert the federations that a push concerns; print those to build, as JSON."""
    import json

    from federator.pipeline import plan, summary

    with _explained():
        made = plan.make(Path.cwd(), since)
        _warn(made.warnings)
        job.summarise(summary.planned(made))
        typer.echo(json.dumps(made.build))


@pipeline.command("login", cls=Command)
def log_in(registry: Annotated[str, typer.Argument(help="such as docker.io")]) -> None:
    """Log Docker in at a registry, as DOCKERHUB_USERNAME with DOCKERHUB_TOKEN."""
    from federator.images import login

    with _explained():
        login.log_in(registry)


@pipeline.command("summary", cls=Command)
def summarise_build(path: FederationPath) -> None:
    """Tell what was built for a federation, and what each site has to do."""
    from federator.federation import schema
    from federator.images.build import Images
    from federator.images.registry import Registry
    from federator.pipeline import summary

    with _explained():
        read = schema.read(path)
        images = Images.read(read.root / "build" / read.name)
        job.summarise(summary.built(read, images, Registry()))


@pipeline.command("deliver", cls=Command)
def deliver_files(
    made: Annotated[Path, typer.Argument(help="folder with a folder compose-NAME for each")],
    branch: Annotated[str, typer.Option(help="where the files are to be")],
    built: Annotated[str, typer.Option(help="the commit that they were made from")],
) -> None:
    """Commit compose files to the repository, or propose them where that is not allowed."""
    from federator.pipeline import summary
    from federator.pipeline.delivery import Committer
    from federator.pipeline.pull_request import PullRequests

    with _explained():
        committer = Committer(Path.cwd(), branch, built, PullRequests(branch))
        job.summarise(summary.delivered(committer.deliver(made)))


def main() -> None:
    """Enter the command line."""
    app(prog_name="federator")
