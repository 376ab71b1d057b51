"""The errors and warnings about imports for which no pinned requirement is found."""

from collections.abc import Iterable

from federator.errors import Problem
from federator.notebook.dependencies.distributions import Distribution
from federator.notebook.dependencies.package_names import environment, is_known, usual_distribution
from federator.notebook.slicing.imports import Import


def not_from_index(path: str, owner: Distribution) -> Problem:
    """Return the error for a distribution that was installed from a folder or repository."""
    top = path.partition(".")[0]
    return Problem(
        f"`import {path}` has {owner.name} {owner.version} of {owner.origin}, which cannot be "
        "pinned: it was not installed from an index",
        hint=f"if {top} is your own, put it beside the notebook instead; or write where it can be "
        f'had into federation.yaml:  requirements: {{{top}: "{owner.name} @ https://..."}}',
    )


def version_open(module: str, name: str) -> Problem:
    """Return the error for a package that is required in no version, and is not installed."""
    return Problem(
        f"`import {module}` needs {name}, but in which version is not known: its requirement "
        "leaves that open",
        hint=_advice(module, name),
    )


def several_distributions(path: str, names: Iterable[str]) -> Problem:
    """Return the error for a module that several installed distributions provide."""
    listed = ", ".join(names)
    return Problem(
        f"`import {path}` needs one of several packages, but which one is not known: {listed}",
        hint=f"write into federation.yaml:  requirements: "
        f'{{{path.partition(".")[0]}: "PACKAGE==VERSION"}}',
    )


def other_part_installed(path: str) -> Problem:
    """Return the error for a module in a folder that several packages share."""
    top = path.partition(".")[0]
    return Problem(
        f"`import {path}` needs a package, but which one and in which version is not known: what "
        f"is installed here has other parts of {top}",
        hint="`pip install` the package here, or write into federation.yaml:  requirements: "
        f'{{{path}: "PACKAGE==VERSION"}}',
    )


def not_installed(path: str) -> Problem:
    """Return the error for a module that nothing provides; never a name that is only guessed."""
    top = path.partition(".")[0]
    usual = usual_distribution(path)
    if is_known(usual):
        return Problem(
            f"`import {path}` needs {usual}, but in which version is not known: it is not "
            "installed here",
            hint=_advice(top, usual),
        )
    return Problem(
        f"`import {path}` needs a package, but which one and in which version is not known: no "
        f"installed package has it, and there is no {top}.py beside the notebook",
        hint=f"if {top} is a module of your own, put it beside the notebook; if it is in a "
        "package, `pip install` that here, or write into federation.yaml:  requirements: "
        f'{{{top}: "PACKAGE==VERSION"}}',
    )


def _advice(module: str, name: str) -> str:
    return (
        f"`pip install {name}` here, or write into federation.yaml:  requirements: "
        f'{{{module}: "{name}==VERSION"}}'
    )


def left_out(one: Import) -> Problem:
    """Return the warning that an import is in no image, since the code can do without it."""
    if place := environment(one.paths[0]):
        return Problem(f"`{one}` exists in {place} only: no image has it", one.where)
    why = "for type checkers only" if one.need == "typing" else "optional"
    return Problem(
        f"`{one}` is {why}, and not installed here: no image has it",
        one.where,
        "write into federation.yaml what is to be installed, or that nothing is:  "
        f'requirements: {{{one.top}: ""}}',
    )
