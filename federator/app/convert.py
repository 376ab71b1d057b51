"""From a federation file and its notebook to ``build/<federation>``.

The folder is written under a temporary name and then renamed: it is complete, or it is not there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from federator.app import private_training
from federator.app.render import App, render_app
from federator.common.files import renewed
from federator.common.templates import FOLDER, Templates
from federator.errors import (
    FederationFileError,
    FederatorError,
    InputError,
    NotebookError,
    Problem,
    RequirementError,
    Where,
)
from federator.federation.schema import Federation
from federator.notebook import contract, reader, strategy
from federator.notebook.checks import likely_task
from federator.notebook.contract import Parts
from federator.notebook.dependencies import distributions, requirements
from federator.notebook.dependencies.requirements import Pins
from federator.notebook.reader import Notebook
from federator.runtime import app_files, plain_strategy
from federator.runtime.app_files import LAYOUT
from federator.runtime.plain_strategy import NotPlainError
from federator.runtime.server_part import require_ours
from federator.runtime.source_map import SourceMap

APP = "app"
SOURCE_MAP = "source-map.json"
CLIENT_REQUIREMENTS = "requirements-client.txt"
SERVER_REQUIREMENTS = "requirements-server.txt"
OPACUS = "opacus==1.6.0"
"""What a site needs for training with differential privacy."""


@dataclass(frozen=True)
class Components:
    """What was written.

    Attributes:
        folder: ``build/<federation>``.
        app: the Flower App inside it.
        source_map: the notebook's line for each of the app's lines.
        client_requirements: pip requirement lines of the client image.
        server_requirements: pip requirement lines of the server image.
        warnings: what is doubtful in the notebook, or not in the images.
    """

    folder: Path
    app: Path
    source_map: SourceMap
    client_requirements: tuple[str, ...]
    server_requirements: tuple[str, ...]
    warnings: tuple[Problem, ...]


@dataclass(frozen=True)
class Rendered:
    """What a federation's notebook becomes; nothing of it is written yet.

    Attributes:
        source: the notebook.
        parts: what it was taken apart into.
        app: the files of the Flower App.
        components: where they go, and what images they need.
    """

    source: Notebook
    parts: Parts
    app: App
    components: Components


def convert(federation: Federation, build: Path, source: Notebook | None = None) -> Components:
    """Write the components of a federation to ``build/<federation>``.

    The same notebook and federation file give the same bytes, whatever the notebook's outputs.
    On an error the folder stays as it was.

    Args:
        federation: the federation file.
        build: the folder that the components' folder is in.
        source: the notebook as it is open in an editor; if absent, its file is read.

    Raises:
        NotebookError: if the notebook cannot be converted.
        FederationFileError: if the federation file sets what the notebook does not have.
        RequirementError: if the version of an imported module is not known.
        InputError: if the author's code would run in the server's own process.
    """
    rendered = render(federation, build, source)
    components = rendered.components
    try:
        _write(components, rendered.app)
    except OSError as error:
        raise FederatorError(
            Problem(f"cannot be written: {error.strerror}", Where(str(components.folder)))
        ) from error
    return components


def converted(federation: Federation, build: Path) -> Components:
    """Return the components that :func:`convert` wrote before, and leave them as they are.

    Raises:
        InputError: as :func:`convert`, or if notebook or federation file have changed since.
    """
    rendered = render(federation, build)
    components, files = rendered.components, rendered.app.files
    for name in {*files, LAYOUT}:
        path, text = components.app / name, files.get(name)
        wanted = None if text is None else text.encode()
        if (path.read_bytes() if path.exists() else None) != wanted:
            message = "the notebook or the federation file has changed since the images were built"
            raise InputError(Problem(message, hint="run `federator build --push` first"))
    return components


def render(federation: Federation, build: Path, source: Notebook | None = None) -> Rendered:
    """Return what :func:`convert` would write, and write nothing.

    Raises:
        InputError: as :func:`convert`.
    """
    read = source or reader.read(federation.notebook)
    parts = contract.take_apart(read)
    _require_no_data(parts, federation)
    rendered = render_app(federation.notebook.name, parts, federation, read.layout)
    _require_plain(parts, rendered, federation)
    if problems := list(private_training.problems(parts, federation)):
        raise NotebookError(*problems)
    client, server = _requirements(parts, federation)
    labels = len(federation.labels or ())
    task = likely_task.problems(parts.task, federation.task, labels, federation.notebook.name)
    warnings = (*parts.warnings, *task, *client.warnings, *server.warnings)
    folder = build / federation.name
    components = Components(
        folder=folder,
        app=folder / APP,
        source_map=rendered.source_map,
        client_requirements=client.lines,
        server_requirements=server.lines,
        warnings=tuple(dict.fromkeys([*warnings, *_own_templates(federation)])),
    )
    return Rendered(read, parts, rendered, components)


def _require_no_data(parts: Parts, federation: Federation) -> None:
    """Check that no file that goes into the app is in a site's data folder."""
    problems = [
        Problem(
            f"`{file.path}` lies in the data folder of {site.name}, and data do not travel",
            Where(federation.notebook.name),
            "read it from data_path",
        )
        for file in (*parts.local_files.modules, *parts.local_files.assets)
        for site in federation.sites
        if site.data
        and (federation.notebook.parent / file.path).resolve().is_relative_to(site.data)
    ]
    if problems:
        raise NotebookError(*problems)


def _require_plain(parts: Parts, app: App, federation: Federation) -> None:
    """Check that a strategy that has to run at the server is declared, and fits the rest.

    Raises:
        NotebookError: with the statement that has to run; or if the strategy needs more than the
            sum that secure aggregation shows.
        FederationFileError: with the bound that the strategy cannot keep.
    """
    if federation.strategy == "own":
        return
    if parts.own_strategy is not None:
        raise NotebookError(parts.own_strategy)
    try:
        read = plain_strategy.read(app.files["aggregation.py"])
    except NotPlainError as error:  # such as by a template of the repository's own
        where = Where("aggregation.py", line=error.line)
        raise NotebookError(strategy.runs_at_server(error.what, where)) from None
    name, bounds = read.name if read else "FedAvg", federation.robust.bounds
    if (why := plain_strategy.unbounded(name, bounds)) is not None:
        where = federation.where("robust", bounds[-1])
        raise FederationFileError(Problem(why, where, f"remove {' and '.join(bounds)}"))
    if federation.site_privacy and (why := plain_strategy.unbounded(name, ["max_share"])):
        where = federation.where("site_privacy")
        raise FederationFileError(Problem(why, where, "remove site_privacy, or use FedAvg"))
    if federation.secure_aggregation and (why := plain_strategy.beyond_sums(read)):
        hint = "use FedAvg, FedProx, FedAvgM, FedAdam, FedYogi or FedAdagrad, or do without"
        raise NotebookError(Problem(why, federation.where("secure_aggregation"), hint))


def _own_templates(federation: Federation) -> Iterator[Problem]:
    """Yield a warning for each template that is the repository's own: read it as code."""
    for name in Templates(federation.root).own():
        message = "this template is the repository's own, not that of Notebook Federator"
        yield Problem(message, Where(f"{FOLDER}/{name}"))


def _requirements(parts: Parts, federation: Federation) -> tuple[Pins, Pins]:
    """Return what the client's and the server's image install.

    The client runs ``task.py`` alone, the server ``aggregation.py`` alone. What the federation
    file asks for and no cell imports (a reader that pandas looks for, say) goes to the client.
    """
    chosen, here = federation.requirements, distributions.here()
    problems: dict[str, Problem] = {}
    pins = []
    for component in (parts.task, parts.aggregation):
        try:
            pins.append(requirements.pin(component.imported, chosen, here))
        except RequirementError as error:
            problems |= {problem.message: problem for problem in error.problems}
    imported = [*parts.task.imported, *parts.aggregation.imported]
    used = {requirements.key_of(path, chosen) for one in imported for path in one.paths}
    extra = []
    for module in chosen.keys() - used:
        where = federation.where("requirements", module)
        try:
            extra.append(requirements.extra(chosen[module], module, where))
        except RequirementError as error:
            problems |= {problem.message: problem for problem in error.problems}
    if problems:
        raise RequirementError(*problems.values())
    client, server = pins
    extra += [OPACUS] if federation.privacy else []
    return replace(client, lines=requirements.together(client.lines, filter(None, extra))), server


def _write(components: Components, rendered: App) -> None:
    with renewed(components.folder) as new:
        (new / APP).mkdir()
        app_files.write(new / APP, rendered.files)
        require_ours(new / APP)
        components.source_map.write(new / SOURCE_MAP)
        _write_text(new / CLIENT_REQUIREMENTS, _lines(components.client_requirements))
        _write_text(new / SERVER_REQUIREMENTS, _lines(components.server_requirements))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
