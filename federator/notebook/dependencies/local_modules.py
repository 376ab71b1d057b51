"""The modules beside a notebook that it imports, and those that they import in turn.

They are found as Python finds them when the notebook's folder is the first on its path: a package
before a module of the same name, a folder without ``__init__.py`` only if nothing else has the
name. They lie at the top of the app, so that ``import helpers`` means the same there.
"""

import ast
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from federator.errors import Problem
from federator.notebook.dependencies import requirements
from federator.notebook.dependencies.distributions import Installed
from federator.notebook.dependencies.notebook_folder import LocalFile, NotebookFolder, Unfit
from federator.notebook.slicing import imports
from federator.notebook.slicing.imports import Import

GENERATED = frozenset({"task", "aggregation", "client_app", "server_app", "assets"})


@dataclass
class Modules:
    """What some imports lead to.

    Attributes:
        files: the modules beside the notebook, by path.
        trees: what they parse to.
        elsewhere: imports, theirs included, that lead to nothing beside the notebook.
        problems: why the app cannot have one of them.
    """

    files: dict[str, LocalFile] = field(default_factory=dict)
    trees: dict[str, ast.Module] = field(default_factory=dict)
    elsewhere: list[Import] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find(imported: Iterable[Import], folder: NotebookFolder, installed: Installed) -> Modules:
    """Follow imports through the modules beside a notebook."""
    found = Modules()
    # What is surely needed comes first: an optional import makes nothing else optional then.
    waiting = deque(sorted(imported, key=lambda one: one.need != "always"))
    while waiting:
        one = waiting.popleft()
        paths = [] if one.need == "typing" else list(_paths(one, folder, installed))
        if not paths:
            found.elsewhere.append(one)
            continue
        if problem := _clash(one, installed):
            found.problems.append(problem)
            continue
        for path in paths:
            if path in found.files:
                continue
            try:
                file = found.files[path] = folder.read(path)
                tree = found.trees[path] = ast.parse(file.text.removeprefix("\ufeff"))
            except Unfit as error:
                found.problems.append(Problem(f"{path} {error}, and `{one}` needs it", one.where))
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                where = folder.where(file, getattr(error, "lineno", None))
                message = getattr(error, "msg", str(error))
                found.problems.append(Problem(f"this is not valid Python: {message}", where))
            else:
                waiting.extend(_inside(file, tree, one, folder, found.problems))
    return found


def _inside(
    file: LocalFile,
    tree: ast.Module,
    importer: Import,
    folder: NotebookFolder,
    problems: list[Problem],
) -> Iterator[Import]:
    """Yield what a module imports. An optional module makes its own imports optional, too."""
    *package, _ = file.path.split("/")
    for one in imports.found(
        tree.body, lambda node: folder.where(file, getattr(node, "lineno", None))
    ):
        if one.module == "__future__":
            continue
        if one.level > len(package):
            message = f"`{one}` leads out of the package that {file.path} is in"
            problems.append(Problem(message, one.where, "Import the module by its full name."))
            continue
        if one.level:
            base = package[: len(package) - one.level + 1]
            one = replace(one, module=".".join([*base, *filter(None, [one.module])]), level=0)
        if importer.need == "optional" and one.need == "always":
            one = replace(one, need="optional")
        yield one


def _paths(one: Import, folder: NotebookFolder, installed: Installed) -> Iterator[str]:
    """Yield the files beside a notebook that an import carries out, packages first."""
    for dotted in one.paths:
        parts = dotted.split(".")
        for depth in range(1, len(parts) + 1):
            place = "/".join(parts[:depth])
            if folder.has(f"{place}/__init__.py"):
                yield f"{place}/__init__.py"
            elif folder.has(f"{place}.py"):
                yield f"{place}.py"
                break
            elif not folder.has_folder(place) or (depth == 1 and _is_known(one.top, installed)):
                break


def _is_known(top: str, installed: Installed) -> bool:
    return top in sys.stdlib_module_names or bool(installed.owners(top))


def _clash(one: Import, installed: Installed) -> Problem | None:
    """Return what is wrong with a name that means something else in an app."""
    top, hint = one.top, "Rename it, there and in the notebook."
    if top in GENERATED | requirements.RUNTIME:
        return Problem(
            f"{top}.py beside the notebook has the name of a part of the app", one.where, hint
        )
    if top in sys.stdlib_module_names:
        message = f"{top}.py beside the notebook has the name of a module of Python's"
        return Problem(message, one.where, hint)
    owners = {owner.name for owner in installed.owners(top)}
    if owners and owners & requirements.brought(requirements.runtime()):
        message = f"{top}.py beside the notebook has the name of a package that a site needs"
        return Problem(message, one.where, hint)
    return None
