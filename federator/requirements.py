"""What an image must install for the author's imports, pinned.

An import names a module, pip installs distributions, and in this field the two names often
differ. The federation file's ``requirements`` decide; for everything else the environment in
which the author converts says which distribution a module came from, and in which version.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from federator.errors import Problem, RequirementError, Where

# For modules that are not installed here, and for those that several distributions share.
DISTRIBUTIONS = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "PIL": "pillow",
    "ants": "antspyx",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "gdcm": "python-gdcm",
    "hydra": "hydra-core",
    "imblearn": "imbalanced-learn",
    "mpl_toolkits": "matplotlib",
    "openslide": "openslide-python",
    "pkg_resources": "setuptools",
    "pl_bolts": "lightning-bolts",
    "pytorch_grad_cam": "grad-cam",
    "pywt": "pywavelets",
    "radiomics": "pyradiomics",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sksurv": "scikit-survival",
    "umap": "umap-learn",
    "yaml": "pyyaml",
}

# The same release, without the parts that need a screen: a container has none.
HEADLESS = {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-contrib-python-headless",
}

# In every image, in the runtime's own version.
RUNTIME = frozenset({"federator", "flwr"})


def pin(
    imports: Mapping[str, Where],
    chosen: Mapping[str, str],
    notebooks: Path | None = None,
) -> dict[str, str]:
    """Return what pip installs for each imported module, one version each.

    Modules of the standard library and of the runtime are left out.

    Args:
        imports: top-level module names, with the place of the import for error messages.
        chosen: requirement by module name, from the federation file. It wins over the
            environment; one that only names a distribution takes the installed version.
        notebooks: the notebook's folder. A module that lies there cannot be installed.

    Raises:
        RequirementError: for every module that no installed distribution and no pin in
            ``chosen`` provides.
    """
    providers = cache(metadata.packages_distributions)  # slow, so only if it comes to that
    pins: dict[str, str] = {}
    problems: list[Problem] = []
    for module in sorted(imports.keys() - sys.stdlib_module_names - RUNTIME):
        found = _chosen(chosen[module]) if module in chosen else _guess(module, providers)
        if found:
            pins[module] = found
        else:
            problems.append(_unknown(module, imports[module], chosen.get(module), notebooks))
    if problems:
        raise RequirementError(*problems)
    return pins


def lines(pins: Mapping[str, str], modules: Iterable[str]) -> tuple[str, ...]:
    """Return the requirement lines of an image that imports these modules, sorted by name."""
    return together(pins[module] for module in modules if module in pins)


def together(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return one requirement line for each distribution, sorted by name; a later group wins."""
    named = {_name(line): line for group in groups for line in group}
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
    brought = sorted(_closure(asked) - {_name(requirement) for requirement in asked})
    return tuple(f"{name}=={version}" for name in brought if (version := _version(name)))


def _closure(requirements: Iterable[str]) -> set[str]:
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


def _guess(module: str, providers: Callable[[], Mapping[str, Iterable[str]]]) -> str | None:
    """Return the requirement of an installed module, or None if its distribution is unclear."""
    usual = canonicalize_name(DISTRIBUTIONS.get(module, module))
    if version := _version(usual):
        return f"{usual}=={version}"
    candidates = {canonicalize_name(name) for name in providers().get(module, ())}
    if len(candidates) != 1:
        return None
    distribution = candidates.pop()
    return f"{HEADLESS.get(distribution, distribution)}=={_version(distribution)}"


def _is_exact(specifier: Specifier) -> bool:
    return specifier.operator in ("==", "===") and not specifier.version.endswith("*")


def _version(distribution: str) -> str | None:
    """Return the installed version, as an index has it (``2.13.0+cpu`` is ``2.13.0`` there)."""
    try:
        return Version(metadata.version(distribution)).public
    except metadata.PackageNotFoundError:
        return None


def _name(requirement: str) -> str:
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


def _unknown(module: str, where: Where, chosen: str | None, notebooks: Path | None) -> Problem:
    own = [notebooks / f"{module}.py", notebooks / module] if notebooks else []
    if chosen is None and any(path.exists() for path in own):
        return Problem(
            f"{module} is a file beside the notebook, and only the notebook is converted",
            where,
            f"move what is needed of {module} into a cell",
        )
    name = _name(chosen or DISTRIBUTIONS.get(module, module))
    reason = "its requirement leaves that open" if chosen else "it is not installed here"
    return Problem(
        f"`import {module}` needs {name}, but in which version is not known: {reason}",
        where,
        f'write into federation.yaml:  requirements: {{{module}: "{name}==VERSION"}}',
    )
