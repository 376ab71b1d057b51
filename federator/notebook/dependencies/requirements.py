"""What an image must install for the author's imports, pinned.

An import names a module, pip installs a distribution, and the two names often differ (``cv2`` is
in ``opencv-python``). The federation file's ``requirements`` decide. Where they say nothing, the
author's environment tells which distribution a module comes from, and its version.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name

from federator.errors import Problem, RequirementError, Where
from federator.notebook.dependencies import unpinned
from federator.notebook.dependencies.distributions import Distribution, Installed, described, here
from federator.notebook.dependencies.package_names import (
    HEADLESS,
    environment,
    prefixes,
    usual_distribution,
)
from federator.notebook.slicing.imports import Import

# In every image, in the runtime's own version.
RUNTIME = frozenset({"federator", "flwr"})


@dataclass(frozen=True)
class Pins:
    """What pip is to install for some imports.

    Attributes:
        lines: a requirement line for each distribution, sorted by name.
        warnings: what is left out, and why.
    """

    lines: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()


def pin(
    imports: Iterable[Import],
    chosen: Mapping[str, str | None],
    installed_here: Installed | None = None,
) -> Pins:
    """Return what pip installs for imported modules, one version each.

    Modules of the standard library and of the runtime are left out; so are those that are imported
    for type checkers only, and those that the code can do without and that are not installed here.

    Args:
        imports: the imports, with their places for error messages.
        chosen: requirement by module name, from the federation file. It wins over the
            environment; one that only names a distribution takes the installed version. None
            leaves a module out.
        installed_here: the environment; if absent, it is read.

    Raises:
        RequirementError: for every module that no installed distribution and no pin in
            ``chosen`` provides.
    """
    search = _Search(chosen, installed_here or here())
    lines: dict[str, str] = {}
    problems: dict[str, Problem] = {}
    warnings: dict[str, Problem] = {}
    asked = [(path, one) for one in imports for path in one.paths]
    for path, one in sorted(asked, key=lambda pair: pair[0]):
        if one.top in sys.stdlib_module_names | RUNTIME:
            continue
        found = search.line(path, one)
        if isinstance(found, str):
            if one.need != "typing":
                lines[name_of(found)] = found
        elif isinstance(found, Problem):
            problem = replace(found, where=one.where)
            if one.need == "typing" or search.is_optional(one):
                warnings.setdefault(one.module, unpinned.left_out(one))
            else:
                problems.setdefault(problem.message, problem)
    if problems:
        raise RequirementError(*problems.values())
    return Pins(together(lines.values()), tuple(warnings.values()))


def missing(imports: Iterable[Import]) -> tuple[Problem, ...]:
    """Return the problems of pinning imports without a federation file."""
    try:
        return pin(imports, {}).warnings
    except RequirementError as error:
        return error.problems


def key_of(path: str, chosen: Iterable[str]) -> str | None:
    """Return the key of the federation file's requirements that applies to a dotted name."""
    return next((key for key in prefixes(path) if key in chosen), None)


def extra(requirement: str | None, module: str, where: Where) -> str | None:
    """Return the line of a requirement that no import asks for, such as a reader of pandas'.

    Raises:
        RequirementError: if it leaves the version open.
    """
    if requirement is None or (line := _chosen(requirement)):
        return line if requirement else None
    raise RequirementError(
        replace(unpinned.version_open(module, name_of(requirement)), where=where)
    )


class _Search:
    """Where requirements are found: in the federation file, and among what is installed."""

    def __init__(self, chosen: Mapping[str, str | None], installed_here: Installed) -> None:
        self._chosen = chosen
        self._installed = installed_here

    def line(self, path: str, one: Import) -> str | Problem | None:
        """Return the requirement of one of an import's paths; None if it is left out by choice."""
        if (key := key_of(path, self._chosen)) is not None:
            requirement = self._chosen[key]
            if requirement is None:
                return None
            return _chosen(requirement) or unpinned.version_open(key, name_of(requirement))
        if place := environment(path):
            hint = "take out what needs it, or tag its cell `local`"
            return Problem(f"`{one}` exists in {place} only", hint=hint)
        owners = self._installed.owners(path)
        usual = usual_distribution(path)
        names = {HEADLESS.get(one.name, one.name): one for one in owners}
        if usual in names:
            owner = next((one for one in owners if one.name == usual), names[usual])
            return _from_index(path, usual, owner)
        if len(names) == 1:
            ((name, owner),) = names.items()
            return _from_index(path, name, owner)
        if names:
            return unpinned.several_distributions(path, sorted(names))
        if self._installed.has_part_of(path):
            return unpinned.other_part_installed(path)
        return unpinned.not_installed(one.module)

    def is_optional(self, one: Import) -> bool:
        """Whether code goes on without a module that is not installed."""
        return one.need == "optional" or (
            bool(one.instead_of) and all(map(self._is_there, one.instead_of))
        )

    def _is_there(self, module: str) -> bool:
        own = module.partition(".")[0] in sys.stdlib_module_names | RUNTIME
        return own or isinstance(self.line(module, Import(module, Where(""))), str)


def _from_index(path: str, name: str, owner: Distribution) -> str | Problem:
    if owner.origin:
        return unpinned.not_from_index(path, owner)
    return f"{name}=={owner.version}"


def together(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return one requirement line for each distribution, sorted by name; a later group wins."""
    named = {name_of(line): line for group in groups for line in group}
    return tuple(line for _, line in sorted(named.items()))


def runtime() -> tuple[str, ...]:
    """Return what the runtime itself imports, in the versions that are installed here."""
    declared = metadata.requires("notebook-federator") or []
    return installed(line for line in declared if Requirement(line).marker is None)


def installed(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return requirements with the versions that are installed here."""
    return tuple(_chosen(line) or line for line in requirements)


def versions(requirements: Iterable[str]) -> tuple[str, ...]:
    """Return the installed version of all that these requirements bring along, sorted by name.

    pip takes them as constraints. What a requirement names itself is left out: it says which.
    """
    asked = list(requirements)
    others = sorted(brought(asked) - {name_of(requirement) for requirement in asked})
    return tuple(f"{name}=={version}" for name in others if (version := _version(name)))


def brought(requirements: Iterable[str]) -> set[str]:
    """Return the names of the distributions that installing these requirements installs."""
    waiting = [Requirement(line) for line in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            if (key := (canonicalize_name(requirement.name), extra)) not in seen:
                seen.add(key)
                waiting += _dependencies(*key)
    return {name for name, _ in seen}


def _chosen(requirement: str) -> str | None:
    """Return a requirement with its version, or None if it leaves that open."""
    parsed = Requirement(requirement)
    if parsed.url or any(_is_exact(specifier) for specifier in parsed.specifier):
        return requirement
    if parsed.specifier or not (version := _version(parsed.name)):
        return None
    parsed.specifier = SpecifierSet(f"=={version}")
    return str(parsed)


def _is_exact(specifier: Specifier) -> bool:
    return specifier.operator in ("==", "===") and not specifier.version.endswith("*")


def _version(distribution: str) -> str | None:
    """Return the installed version, as an index has it."""
    try:
        return described(metadata.distribution(distribution)).version
    except metadata.PackageNotFoundError:
        return None


def name_of(requirement: str) -> str:
    """Return the name of the distribution that a requirement asks for."""
    return canonicalize_name(Requirement(requirement).name)


def _dependencies(distribution: str, extra: str) -> list[Requirement]:
    try:
        declared = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    return [
        requirement
        for requirement in map(Requirement, declared)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra})
    ]
