"""What the sites of a rehearsal imported, and no image would have: told with the line to write.

A rehearsal runs in the author's environment, where more is installed than in an image. pandas reads
Excel files with openpyxl where that is installed, and no import in the notebook shows it.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from federator.errors import Problem
from federator.notebook.dependencies import distributions, requirements

_OURS = "notebook-federator"
# torch imports these where they are installed, and does without them (torch/hub.py,
# torch/backends/opt_einsum): every rehearsal would be told of them.
_OF_TORCH = frozenset({"tqdm", "opt-einsum"})


def read(folder: Path) -> set[str]:
    """Return the modules that workers listed in a folder, each in a file of its own."""
    found: set[str] = set()
    for path in folder.glob("*.imported"):
        found.update(json.loads(path.read_text()))
    return found


def doubtful(modules: Iterable[str], client: Iterable[str]) -> list[Problem]:
    """Return a warning, if modules were imported whose packages a client's image would not have.

    Args:
        modules: dotted names of what the workers imported.
        client: the requirement lines of that image.
    """
    there = requirements.brought([*client, *requirements.runtime()]) | {_OURS} | _OF_TORCH
    installed = distributions.here()
    missing: dict[str, str] = {}
    for module in sorted(modules):
        owners = [owner for owner in installed.owners(module) if owner.name not in there]
        if len(owners) == 1:
            there.add(owners[0].name)
            missing[module] = f"{owners[0].name}=={owners[0].version}"
    missing = _not_brought(missing)
    if not missing:
        return []
    what = f"the sites imported what no image would have: {', '.join(missing.values())}"
    lines = ", ".join(f'{module}: "{line}"' for module, line in missing.items())
    hint = f"if your code needs it, write into federation.yaml:  requirements: {{{lines}}}"
    return [Problem(what, hint=hint)]


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
