"""The files beside a notebook that travel with its app: modules it imports, files it reads."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from federator.errors import NotebookError, Problem, Where
from federator.notebook.dependencies import assets, distributions, local_modules
from federator.notebook.dependencies.assets import Source
from federator.notebook.dependencies.local_modules import Modules
from federator.notebook.dependencies.notebook_folder import LocalFile, NotebookFolder, require_small
from federator.notebook.reader import Notebook
from federator.notebook.slicing.component import Component


@dataclass(frozen=True)
class LocalFiles:
    """The files that travel with an app.

    Attributes:
        modules: those that the notebook's components import.
        assets: those that they read, at the sites only.
        warnings: what is read and does not travel.
    """

    modules: tuple[LocalFile, ...] = ()
    assets: tuple[LocalFile, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def cells(self) -> frozenset[int]:
        """The cells that write one of the files."""
        files = (*self.modules, *self.assets)
        return frozenset(file.cell for file in files if file.cell is not None)


def find_local_files(
    notebook: Notebook, task: Component, aggregation: Component
) -> tuple[LocalFiles, Component, Component]:
    """Find the files beside a notebook that its components need.

    Returns:
        The files; and the components, with what they and those modules import from elsewhere.

    Raises:
        NotebookError: for each file that is needed and cannot travel.
    """
    folder, installed = NotebookFolder.of(notebook), distributions.here()
    to_sites = local_modules.find(task.imported, folder, installed)
    to_server = local_modules.find(aggregation.imported, folder, installed)
    read = assets.find(_sources(notebook, task, to_sites, folder), folder)
    at_server = assets.find(_sources(notebook, aggregation, to_server, folder), folder)
    problems = [*to_sites.problems, *to_server.problems, *read.problems]
    problems += [_not_at_server(path, where) for path, where in at_server.places.items()]
    modules = to_sites.files | to_server.files
    problems += require_small(modules | read.files)
    if problems:
        raise NotebookError(*dict.fromkeys(problems))
    found = LocalFiles(_sorted(modules), _sorted(read.files), tuple(read.warnings))
    return found, _with(task, to_sites), _with(aggregation, to_server)


def _not_at_server(path: str, where: Where) -> Problem:
    message = f"`{path}` is read for the aggregation, and the server does not have it"
    return Problem(message, where, "Write what is needed of it into the cell.")


def _sources(
    notebook: Notebook, component: Component, modules: Modules, folder: NotebookFolder
) -> Iterator[Source]:
    """Yield a component's statements and its modules, for what they read."""
    for one in component.statements:
        yield Source(ast.parse(one.source), notebook.name, one.cell, one.line - 1)
    for path, tree in modules.trees.items():
        first = folder.where(modules.files[path], 1)
        yield Source(tree, first.file, first.cell, (first.line or 1) - 1)


def _with(component: Component, modules: Modules) -> Component:
    return replace(component, imported=tuple(modules.elsewhere))


def _sorted(files: Mapping[str, LocalFile]) -> tuple[LocalFile, ...]:
    return tuple(file for _, file in sorted(files.items()))
