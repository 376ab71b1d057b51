"""Warns of what the sites of a local run imported and no image would have, with the line to write.

A local run uses the author's environment, where more is installed than in an image. pandas reads
Excel files with openpyxl where that is installed, and no import in the notebook shows it.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from federator.errors import Problem
from federator.notebook.dependencies import distributions, requirements
from federator.notebook.dependencies.distributions import Distribution
from federator.runtime.worker.sandbox.import_trace import Asked

_OURS = "notebook-federator"
# torch tries what is installed, and does without: torch/hub.py, torch/backends/opt_einsum,
# torch/_dynamo/trace_rules.py. Every local run would warn of it.
_AT_WILL = "torch"
_OF_DEVELOPERS = ("test", "dev", "doc", "lint", "typing", "benchmark", "example", "build", "maint")


def read(folder: Path) -> dict[str, Asked]:
    """Return the modules that workers listed in a folder, each in a file of its own, by name."""
    found: dict[str, Asked] = {}
    for path in folder.glob("*.imported"):
        found.update({name: Asked(*asked) for name, asked in json.loads(path.read_text()).items()})
    return found


def doubtful(imported: Mapping[str, Asked], client: Iterable[str]) -> list[Problem]:
    """Return a warning, if modules were imported whose packages a client's image would not have.

    Args:
        imported: what the workers imported, by its dotted name.
        client: the requirement lines of that image.
    """
    there = requirements.brought([*client, *requirements.runtime()]) | {_OURS}
    installed, missing = _Installed(), dict[str, Distribution]()
    for module in sorted(imported):
        owner = installed.owner(module)
        if owner is None or owner.name in there or owner in missing.values():
            continue
        if _counts(installed, owner.name, imported[module], there):
            top = module.partition(".")[0]
            missing[top if installed.owner(top) == owner else module] = owner
    lines = _not_brought({name: f"{one.name}=={one.version}" for name, one in missing.items()})
    if not lines:
        return []
    what = f"the sites imported what no image would have: {', '.join(lines.values())}"
    written = ", ".join(f'{module}: "{line}"' for module, line in lines.items())
    hint = f"if your code needs it, write into federation.yaml:  requirements: {{{written}}}"
    return [Problem(what, hint=hint)]


class _Installed:
    """What is installed here. A run imports thousands of modules: each package is read once."""

    def __init__(self) -> None:
        self._modules = distributions.here()
        self._described = cache(distributions.described)
        self.extras = cache(_extras)

    def owner(self, module: str) -> Distribution | None:
        """Return the distribution that has a module; None if there is none, or it is not clear."""
        owning = self._modules.owning(module)
        return self._described(owning[0]) if len(owning) == 1 else None


def _counts(installed: _Installed, name: str, asked: Asked, there: set[str]) -> bool:
    """Return whether a package is needed, as far as who asked for it shows that.

    What only another missing package asks for, is not. A library of the image that takes what it
    finds while it is loaded, does without it, unless it declares it as one of its extras.
    """
    asking = installed.owner(asked.by) if asked.by else None
    if asking is None:  # the author's own code
        return True
    if asking.name == _AT_WILL or asking.name not in there:
        return False
    return not asked.loading or name in installed.extras(asking.name)


def _extras(name: str) -> set[str]:
    """Return the distributions that one declares as extras for those who use it."""
    found = set()
    for line in metadata.requires(name) or []:
        requirement = Requirement(line)
        extra = str(requirement.marker or "").partition("extra == ")[2]
        if extra and not any(word in extra for word in _OF_DEVELOPERS):
            found.add(requirements.name_of(line))
    return found


def _not_brought(missing: dict[str, str]) -> dict[str, str]:
    """Leave out what installing another of the missing packages brings along."""
    brings = {line: requirements.brought([line]) for line in missing.values()}
    names = {line: requirements.name_of(line) for line in brings}
    return {
        module: line
        for module, line in missing.items()
        if not any(
            names[line] in found and names[other] not in brings[line]
            for other, found in brings.items()
            if other != line
        )
    }
